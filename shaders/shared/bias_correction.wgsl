// bias_correction
// 1 − e^x for x ≤ 0: 1 − β^t where x = t·ln β. Near 0, where the difference would cancel, Taylor's series, whose first
// term left out is below 2^-25 of the sum; further off e^x, which is small beside 1.
fn one_minus_exp(exponent: f32) -> f32 {
  if (exponent < -1.0) { return 1.0 - exp(exponent); }
  var series = 1.0;
  for (var n = 11.0; n > 1.5; n -= 1.0) {
    series = 1.0 + series * exponent / n;
  }
  return -exponent * series;
}
