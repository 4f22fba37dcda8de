// upstream_activation
// The gradient of z = x̂·weight + bias where forward stored activation(z): z is computed again, which costs no pass
// over memory.
const HAS_ACTIVATION = true;

fn upstream(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  return load_dy(at, valid) * derivative(z);
}
