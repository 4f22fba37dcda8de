// dsum_none
// dx where x has no other gradient.
fn add_dsum(at: u32, valid: u32, v: vec4<f32>) -> vec4<f32> {
  return v;
}
