// epilogue_residual
// What becomes of x̂·weight + bias before it is stored: z is its sum with the residual, as in a ResNet's block.
fn epilogue(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  return activate(z + load_residual(at, valid));
}
