// input_x
// What is normalized: x itself.
fn input(at: u32, valid: u32) -> vec4<f32> {
  return load_x(at, valid);
}

fn keep(at: u32, valid: u32, v: vec4<f32>) -> vec4<f32> {
  return v;
}

fn kept(at: u32, valid: u32) -> vec4<f32> {
  return load_x(at, valid);
}
