// activation/silu
// activation(z) = z·sigmoid(z) (torch.nn.SiLU; Elfwing, Uchibe and Doya 2018, arXiv 1702.03118).
//
// exp of −|z| cannot overflow, and 1 + it cannot cancel. One element after the other, as in activation/gelu.wgsl.
fn sigmoid(z: f32) -> f32 {
  let e = exp(-abs(z));
  return select(1.0, e, z < 0.0) / (1.0 + e);
}

fn activate(z: vec4<f32>) -> vec4<f32> {
  return z * vec4<f32>(sigmoid(z.x), sigmoid(z.y), sigmoid(z.z), sigmoid(z.w));
}

fn derivative(z: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(slope_at(z.x), slope_at(z.y), slope_at(z.z), slope_at(z.w));
}

fn slope_at(z: f32) -> f32 {
  let s = sigmoid(z);
  return s + z * s * sigmoid(-z);
}
