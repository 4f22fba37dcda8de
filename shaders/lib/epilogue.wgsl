// epilogue
// What becomes of z = x̂·weight + bias before it is stored.
fn epilogue(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  return activate(z);
}
