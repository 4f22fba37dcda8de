// epilogue
// needs: activation tensors
// What becomes of z = x̂·weight + bias before it is stored: the residual is added, as in a ResNet's block, then comes the
// activation.
override HAS_ACTIVATION: bool = false;
override RESIDUAL_AFTER: bool = false;

fn epilogue(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  var out = z;
  if (RESIDUAL_AFTER) {
    out += load_residual(at, valid);
  }
  if (HAS_ACTIVATION) {
    out = activate(out);
  }
  return out;
}

// The same for a kernel that has added the residual.
fn activated(z: vec4<f32>) -> vec4<f32> {
  if (HAS_ACTIVATION) {
    return activate(z);
  } else {
    return z;
  }
}
