// changed_gradient
// needs: storage
// A gradient that is changed where it is, element by element. Neighbouring elements are those of different threads.
var<storage, read_write> grad: array<SHARED_X>;

fn gradient_at(i: u32) -> f32 {
  if (X_PACKED) {
    return x_element(atomicLoad(&grad[x_entry(i)]), i);
  } else {
    return f32(grad[i]);
  }
}

fn change_gradient(i: u32, v: f32) {
  if (X_PACKED) {
    atomicAnd(&grad[x_entry(i)], other_half(i));
    atomicOr(&grad[x_entry(i)], half_word(x_words(vec4<f32>(v)), i));
  } else {
    grad[i] = X(v);
  }
}
