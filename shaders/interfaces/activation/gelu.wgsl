// activation/gelu
// activation(z) = z·Φ(z), Φ being the cumulative distribution of the standard normal: torch.nn.GELU without the tanh
// approximation (Hendrycks and Gimpel 2016, arXiv 1606.08415).
//
// The tail 1 − Φ(u) is exp(−u²/2) times a polynomial in 1 / (1 + 0.3·u), fitted to a relative error of 5e-8 for u from 0 to
// 8 by reweighted least squares in float64. In f32, Φ is right to 2e-7. One element after the other, which takes fewer registers than four
// side by side.
fn tail(u: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3 * u);
  var p = 0.037409346;
  p = p * t - 0.16442442;
  p = p * t + 0.21879425;
  p = p * t - 0.065138107;
  p = p * t + 0.13462436;
  p = p * t + 0.098076877;
  p = p * t + 0.12104740;
  p = p * t + 0.11961032;
  return exp(-0.5 * u * u) * p * t;
}

fn cumulative(z: f32) -> f32 {
  let q = tail(abs(z));
  return select(1.0 - q, q, z < 0.0);
}

fn activate(z: vec4<f32>) -> vec4<f32> {
  return z * vec4<f32>(cumulative(z.x), cumulative(z.y), cumulative(z.z), cumulative(z.w));
}

fn derivative(z: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(slope_at(z.x), slope_at(z.y), slope_at(z.z), slope_at(z.w));
}

fn slope_at(z: f32) -> f32 {
  return cumulative(z) + z * (0.39894228 * exp(-0.5 * z * z));
}
