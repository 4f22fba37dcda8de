// upstream_residual
// The gradient of z = x̂·weight + bias + residual where forward stored activation(z). It is also that of residual, so it
// is stored. What is summed has not been rounded: in f32 the pass that follows reads what is stored, in place of dy and
// residual; in f16 it computes this again (lib/upstream_again.wgsl).
const HAS_ACTIVATION = true;

fn upstream(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  let g = load_dy(at, valid) * derivative(z + load_residual(at, valid));
  store_dresidual(at, valid, g);
  return g;
}
