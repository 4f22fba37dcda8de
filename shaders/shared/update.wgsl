// update
// needs: places storage worker
// given by the kernel: rates_of settings update
// Every element of a place is updated by itself, unless the settings say to skip the step. What is the same for all elements of
// a parameter is computed once.
var<storage, read_write> param: array<SHARED_W>;
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

fn grad_of(i: u32) -> f32 {
  return x_element(grad[x_entry(i)], i);
}

fn param_of(i: u32) -> f32 {
  if (W_PACKED) {
    return w_element(atomicLoad(&param[w_entry(i)]), i);
  } else {
    return f32(param[i]);
  }
}

fn store_param(i: u32, v: f32) {
  if (W_PACKED) {
    atomicAnd(&param[w_entry(i)], other_half(i));
    atomicOr(&param[w_entry(i)], half_word(w_words(vec4<f32>(v)), i));
  } else {
    param[i] = W(v);
  }
}
