// activation/relu
// activation(z) = max(z, 0), with derivative 0 at 0 (torch.nn.ReLU). select, and not max, lets a NaN through.
fn activate(z: vec4<f32>) -> vec4<f32> {
  return select(z, vec4<f32>(), z < vec4<f32>());
}

fn derivative(z: vec4<f32>) -> vec4<f32> {
  return select(vec4<f32>(), vec4<f32>(1.0), z > vec4<f32>());
}
