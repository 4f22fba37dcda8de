// input_x
// What is normalized: x itself.
fn input(at: u32, valid: u32) -> vec4<f32> {
  return load_x(at, valid);
}

fn take(at: u32, valid: u32) -> vec4<f32> {
  return load_x(at, valid);
}

fn taken(at: u32, valid: u32) -> vec4<f32> {
  return load_x(at, valid);
}

fn emit_sum(at: u32, valid: u32, v: vec4<f32>) {}
