// upstream
// needs: activation affine_map tensors
// The gradient of z = x̂·weight + bias: dy, or dy·activation'(z) where forward stored activation(z). z is computed again,
// which costs no pass over memory.
override HAS_ACTIVATION: bool = false;
// Forward stored activation(z + residual). The gradient of z is also that of residual; the first pass that computes it
// stores it. What is summed has not been rounded: in f32 the pass that follows reads what is stored, in place of dy; in
// f16 it computes this again.
override RESIDUAL_AFTER: bool = false;
override STORES_DRESIDUAL: bool = false;
// Whether x is itself a residual sum, which has another gradient beside that of the norm.
override HAS_DSUM: bool = false;

fn upstream(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  return upstream_of(load_dy(at, valid), at, valid, z);
}

// The same where dy is there already.
fn upstream_of(dy_quad: vec4<f32>, at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  if (STORES_DRESIDUAL) {
    let g = times_derivative(dy_quad, at, valid, z);
    store_dresidual(at, valid, g);
    return g;
  } else {
    return times_derivative(dy_quad, at, valid, z);
  }
}

fn times_derivative(dy_quad: vec4<f32>, at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  if (HAS_ACTIVATION) {
    if (RESIDUAL_AFTER) {
      return dy_quad * derivative(z + load_residual(at, valid));
    } else {
      return dy_quad * derivative(z);
    }
  } else {
    return dy_quad;
  }
}

fn add_dsum(at: u32, valid: u32, v: vec4<f32>) -> vec4<f32> {
  if (HAS_DSUM) {
    return v + load_dsum(at, valid);
  } else {
    return v;
  }
}

// The bias of z, where z is needed.
fn shift_at(start: u32, col: u32, valid: u32) -> vec4<f32> {
  if (HAS_ACTIVATION) {
    return bias_at(start, col, valid);
  } else {
    return vec4<f32>();
  }
}
