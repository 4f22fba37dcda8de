// upstream
// needs: activated affine_map tensors
// The gradient of z = x̂·weight + bias: dy, or dy·activation'(z) where forward stored activation(z). z is computed again,
// which costs no pass over memory.
// Forward stored activation(z + residual). The gradient of z is also that of residual; the first pass that computes it
// stores it. What is summed has not been rounded: in f32 the pass that follows reads what is stored, in place of dy; in
// f16 it computes this again.
override RESIDUAL_AFTER: bool = false;
override STORES_DRESIDUAL: bool = false;
// Forward stored z·activation(gate), the gate being bound as the residual is: the gradient of z is dy·activation(gate), and that of the
// gate dy·z·activation'(gate).
override GATED: bool = false;
// Whether z is read: by an activation of it, or by the gradient of the gate.
override NEEDS_Z: bool = false;
// Whether x is itself a residual sum, which has another gradient beside that of the norm.
override HAS_DSUM: bool = false;

fn upstream(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  return upstream_of(load_dy(at, valid), at, valid, z);
}

// The same where dy is there already.
fn upstream_of(dy_quad: vec4<f32>, at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  var residual_quad = vec4<f32>();
  if (RESIDUAL_AFTER) {
    residual_quad = load_residual(at, valid);
  }
  let dz = upstream_from(dy_quad, residual_quad, z);
  if (STORES_DRESIDUAL) {
    store_dresidual(at, valid, gradient_of_residual(dy_quad, residual_quad, z, dz));
  }
  return dz;
}

// The same where the residual, or the gate, is there, too; the kernel itself stores the gradient of that.
fn upstream_from(dy_quad: vec4<f32>, residual_quad: vec4<f32>, z: vec4<f32>) -> vec4<f32> {
  if (GATED) {
    return dy_quad * activated(residual_quad);
  } else if (RESIDUAL_AFTER) {
    return times_slope(dy_quad, z + residual_quad);
  } else {
    return times_slope(dy_quad, z);
  }
}

fn gradient_of_residual(dy_quad: vec4<f32>, residual_quad: vec4<f32>, z: vec4<f32>, dz: vec4<f32>) -> vec4<f32> {
  if (GATED) {
    return times_slope(dy_quad * z, residual_quad);
  } else {
    return dz;
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
  if (NEEDS_Z) {
    return bias_at(start, col, valid);
  } else {
    return vec4<f32>();
  }
}
