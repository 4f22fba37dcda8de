// upstream_residual
// The gradient of z = x̂·weight + bias + residual where forward stored activation(z). It is also that of residual, so it
// is stored: the pass that follows reads it in place of dy, and neither residual nor the activation again. What is summed
// is what is stored, rounding included.
const HAS_ACTIVATION = true;

fn upstream(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  let g = round_to_storage(load_dy(at, valid) * derivative(z + load_residual(at, valid)));
  store_dresidual(at, valid, g);
  return g;
}
