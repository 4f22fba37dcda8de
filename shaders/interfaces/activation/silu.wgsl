// activation/silu
// activation(z) = z·sigmoid(z) (torch.nn.SiLU; Elfwing, Uchibe and Doya 2018, arXiv 1702.03118).
//
// exp of −|z| cannot overflow, and 1 + it cannot cancel.
fn sigmoid(z: vec4<f32>) -> vec4<f32> {
  let e = exp(-abs(z));
  return select(vec4<f32>(1.0), e, z < vec4<f32>()) / (1.0 + e);
}

fn activate(z: vec4<f32>) -> vec4<f32> {
  return z * sigmoid(z);
}

fn derivative(z: vec4<f32>) -> vec4<f32> {
  let s = sigmoid(z);
  return s + z * s * sigmoid(-z);
}
