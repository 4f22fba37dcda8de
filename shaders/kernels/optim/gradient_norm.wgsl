// optim/gradient_norm
// needs: largest_and_sum places storage worker
// Partial norms of gradients, as torch.nn.utils.clip_grad_norm_ needs them: of the elements of each place the largest size and
// the sum of the sizes (NORM 1) or of their squares (NORM 2) relative to it, so that no power of a finite gradient is beyond f32.
//
// Mapping: a workgroup takes a place (shared/places.wgsl) or `share` elements; a thread every WORKGROUP-th element of it.
// Bindings: grad, of its dtype; partials [first_partial + workgroups]: largest, sum, what is not finite.
// Numerics: f32. NaN and infinities are found by their bits, and are in no sum.
struct Params {
  first_partial: u32,
  partial_count: u32,
}

var<uniform> params: Params;
var<storage, read> grad: array<X>;
var<storage, read_write> partials_of_norm: array<Partial>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let number = workgroup_number(invocation);
  let taken = place_of(number);
  var own = Partial();
  for (var i = taken.first + invocation.index; i < taken.end; i += WORKGROUP) {
    own = with_value(own, x_element(grad[x_entry(i)], i));
  }
  let all = of_workgroup(own, invocation.index);
  if (invocation.index == 0u && number < params.partial_count) {
    partials_of_norm[params.first_partial + number] = all;
  }
}
