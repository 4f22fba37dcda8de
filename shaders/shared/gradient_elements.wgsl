// gradient_elements
// needs: storage
// dweight and dbias, element by element. Neighbouring elements may be those of different threads.
var<storage, read_write> dweight: array<SHARED_W>;
var<storage, read_write> dbias: array<SHARED_W>;

fn dbias_of(i: u32) -> f32 {
  if (W_PACKED) {
    return w_element(atomicLoad(&dbias[w_entry(i)]), i);
  } else {
    return f32(dbias[i]);
  }
}

fn dweight_of(i: u32) -> f32 {
  if (W_PACKED) {
    return w_element(atomicLoad(&dweight[w_entry(i)]), i);
  } else {
    return f32(dweight[i]);
  }
}

fn store_dbias(i: u32, v: f32) {
  if (W_PACKED) {
    atomicAnd(&dbias[w_entry(i)], other_half(i));
    atomicOr(&dbias[w_entry(i)], half_word(w_words(vec4<f32>(v)), i));
  } else {
    dbias[i] = W(v);
  }
}

fn store_dweight(i: u32, v: f32) {
  if (W_PACKED) {
    atomicAnd(&dweight[w_entry(i)], other_half(i));
    atomicOr(&dweight[w_entry(i)], half_word(w_words(vec4<f32>(v)), i));
  } else {
    dweight[i] = W(v);
  }
}
