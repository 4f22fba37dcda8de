// dsum
// dx where x is a residual sum with a gradient of its own.
fn add_dsum(at: u32, valid: u32, v: vec4<f32>) -> vec4<f32> {
  return v + load_dsum(at, valid);
}
