// upstream
// The gradient of z = x̂·weight + bias where that is what forward stored: dy.
const HAS_ACTIVATION = false;

fn upstream(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  return load_dy(at, valid);
}
