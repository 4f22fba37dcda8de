// epilogue
// needs: activated tensors
// What becomes of z = x̂·weight + bias before it is stored: the residual is added, as in a ResNet's block, then comes the
// activation. GATED: z is multiplied by the activation of a gate, as in Mamba-2's norm; the gate is bound as the residual is.
override RESIDUAL_AFTER: bool = false;
override GATED: bool = false;

fn epilogue(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  return finished(z, added_residual(at, valid));
}

// What is added to z, or gates it.
fn added_residual(at: u32, valid: u32) -> vec4<f32> {
  if (RESIDUAL_AFTER) {
    return load_residual(at, valid);
  } else {
    return vec4<f32>();
  }
}

fn finished(z: vec4<f32>, residual_quad: vec4<f32>) -> vec4<f32> {
  if (GATED) {
    return z * activated(residual_quad);
  } else if (RESIDUAL_AFTER) {
    return activated(z + residual_quad);
  } else {
    return activated(z);
  }
}
