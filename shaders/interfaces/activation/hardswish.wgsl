// activation/hardswish
// activation(z) = z·min(max(z + 3, 0), 6) / 6 (torch.nn.Hardswish; Howard et al. 2019, arXiv 1905.02244).
fn activate(z: vec4<f32>) -> vec4<f32> {
  let inside = z * (z + 3.0) * (1.0 / 6.0);
  let floored = select(inside, vec4<f32>(), z <= vec4<f32>(-3.0));
  return select(floored, z, z >= vec4<f32>(3.0));
}

fn derivative(z: vec4<f32>) -> vec4<f32> {
  let inside = z * (1.0 / 3.0) + 0.5;
  let floored = select(inside, vec4<f32>(), z <= vec4<f32>(-3.0));
  return select(floored, vec4<f32>(1.0), z >= vec4<f32>(3.0));
}
