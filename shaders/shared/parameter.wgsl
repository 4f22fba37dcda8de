// parameter
// needs: storage
// A parameter and its gradient, of the parameter's dtype, element by element. Neighbouring elements are those of different threads.
var<storage, read_write> param: array<SHARED_W>;
var<storage, read> grad: array<W>;

fn param_of(i: u32) -> f32 {
  if (W_PACKED) {
    return w_element(atomicLoad(&param[w_entry(i)]), i);
  } else {
    return f32(param[i]);
  }
}

fn grad_of(i: u32) -> f32 {
  return w_element(grad[w_entry(i)], i);
}

fn store_param(i: u32, v: f32) {
  if (W_PACKED) {
    atomicAnd(&param[w_entry(i)], other_half(i));
    atomicOr(&param[w_entry(i)], half_word(w_words(vec4<f32>(v)), i));
  } else {
    param[i] = W(v);
  }
}
