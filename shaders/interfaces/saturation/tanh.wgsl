// saturation/tanh
// tanh and its derivative, to the last bits: WGSL's own tanh may be off by 1e-5 (https://www.w3.org/TR/WGSL/#floating-point-accuracy).
//
// Near 0 by the polynomial of Cephes (Moshier, tanhf.c), elsewhere by exp of −2|u|, which cannot overflow. Inf and NaN have the right
// results. One element after the other, as in activation/gelu.wgsl.
fn tanh_of(u: f32) -> f32 {
  let square = u * u;
  var p = fma(-5.70498872745e-3, square, 2.06390887954e-2);
  p = fma(p, square, -5.37397155531e-2);
  p = fma(p, square, 1.33314422036e-1);
  p = fma(p, square, -3.33332819422e-1);
  let e = exp(-2.0 * abs(u));
  let far = (1.0 - e) / (1.0 + e);
  return select(fma(p * square, u, u), select(far, -far, u < 0.0), abs(u) > 0.625);
}

// 1 − tanh(u)², without the difference.
fn tanh_slope(u: f32) -> f32 {
  let e = exp(-2.0 * abs(u));
  return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

fn saturated(u: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(tanh_of(u.x), tanh_of(u.y), tanh_of(u.z), tanh_of(u.w));
}

fn saturated_slope(u: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(tanh_slope(u.x), tanh_slope(u.y), tanh_slope(u.z), tanh_slope(u.w));
}
