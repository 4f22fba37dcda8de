// upstream_again
// The gradient that lib/upstream_residual.wgsl stored, computed once more: what is stored in f16 is rounded.
const HAS_ACTIVATION = true;

fn upstream(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  return load_dy(at, valid) * derivative(z + load_residual(at, valid));
}
