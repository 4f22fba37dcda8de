// update
// needs: places storage worker
// given by the kernel: rates_of settings update
// Every element of a place is updated by itself, unless the settings say to skip the step. What is the same for all elements of
// a parameter is computed once.
var<storage, read_write> param: array<W>;
var<storage, read> grad: array<X>;

fn update_all(invocation: Invocation) {
  if (settings.skip == 0u) {
    let taken = place_of(workgroup_number(invocation));
    let rates = rates_of(taken.slot);
    for (var i = taken.first + invocation.index; i < taken.end; i += WORKGROUP) {
      update(i, rates);
    }
  }
}
