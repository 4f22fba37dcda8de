// input_x
// What is normalized: x itself.
fn input(at: u32, valid: u32) -> vec4<f32> {
  return load_x(at, valid);
}

fn input_element(i: u32) -> f32 {
  return load_x_element(i);
}

fn emit_sum(at: u32, valid: u32, v: vec4<f32>) {}
