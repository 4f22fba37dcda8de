// The gradient of z = x̂·weight + bias + residual where forward stored activation(z). It is also that of residual, so it
// is stored: the pass that follows reads it in place of dy, and neither residual nor the activation again. What is summed
// is what is stored, rounding included.
const HAS_ACTIVATION = true;

fn upstream(i: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  let g = round_to_storage(load_dy(i, valid) * derivative(z + load_residual(i, valid)));
  store_dresidual(i, valid, g);
  return g;
}
