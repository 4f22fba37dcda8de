// input
// needs: storage tensors
// What is normalized: x, or x + residual, rounded to the storage type first, so that the norm and its backward see the
// very numbers that the next layer gets as `sum`.
override ADDS_RESIDUAL: bool = false;

fn input(at: u32, valid: u32) -> vec4<f32> {
  if (ADDS_RESIDUAL) {
    return round_to_storage(load_x(at, valid) + load_residual(at, valid));
  } else {
    return load_x(at, valid);
  }
}

// For the one invocation that owns a quad: it stores the sum, and reads that from then on.
fn store_input(at: u32, valid: u32, v: vec4<f32>) -> vec4<f32> {
  if (ADDS_RESIDUAL) {
    store_sum(at, valid, v);
  }
  return v;
}

fn stored_input(at: u32, valid: u32) -> vec4<f32> {
  if (ADDS_RESIDUAL) {
    return load_sum(at, valid);
  } else {
    return load_x(at, valid);
  }
}
