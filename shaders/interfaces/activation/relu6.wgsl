// activation/relu6
// activation(z) = min(max(z, 0), 6), with derivative 0 at both ends (torch.nn.ReLU6).
fn activate(z: vec4<f32>) -> vec4<f32> {
  let floored = select(z, vec4<f32>(), z < vec4<f32>());
  return select(floored, vec4<f32>(6.0), z > vec4<f32>(6.0));
}

fn derivative(z: vec4<f32>) -> vec4<f32> {
  let one = select(vec4<f32>(), vec4<f32>(1.0), z > vec4<f32>());
  return select(vec4<f32>(), one, z < vec4<f32>(6.0));
}
