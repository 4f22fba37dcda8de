// epilogue
// needs: activation tensors
// What becomes of z = x̂·weight + bias before it is stored: the residual is added, as in a ResNet's block, then comes the
// activation.
override HAS_ACTIVATION: bool = false;
override RESIDUAL_AFTER: bool = false;

fn epilogue(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  return finished(z, added_residual(at, valid));
}

// What is added to z.
fn added_residual(at: u32, valid: u32) -> vec4<f32> {
  if (RESIDUAL_AFTER) {
    return load_residual(at, valid);
  } else {
    return vec4<f32>();
  }
}

fn finished(z: vec4<f32>, residual_quad: vec4<f32>) -> vec4<f32> {
  var out = z;
  if (RESIDUAL_AFTER) {
    out += residual_quad;
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
