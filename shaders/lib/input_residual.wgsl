// input_residual
// What is normalized: x + residual, rounded to the storage type first, so that the norm and its backward see the
// very numbers that the next layer gets as `sum`.
fn input(at: u32, valid: u32) -> vec4<f32> {
  return round_to_storage(load_x(at, valid) + load_residual(at, valid));
}

fn input_element(i: u32) -> f32 {
  return round_to_storage(vec4<f32>(load_x_element(i) + load_residual_element(i))).x;
}

fn emit_sum(at: u32, valid: u32, v: vec4<f32>) {
  store_sum(at, valid, v);
}
