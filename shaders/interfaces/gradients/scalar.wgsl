// gradients/scalar
// needs: gradient_elements gradient_outputs params tensors
// The sums of a thread's columns as dweight and dbias themselves, where one split holds all rows: for rows that are not
// aligned to four.
fn store_gradients(split: u32, col: u32, dbias_sum: vec4<f32>, dweight_sum: vec4<f32>) {
  for (var e = 0u; e < valid_of(params.cols - col); e++) {
    let at = col + e;
    if (WANTS_BIAS) {
      var bias_total = dbias_sum[e];
      if (ACCUMULATE_BIAS) {
        bias_total += dbias_of(at);
      }
      store_dbias(at, bias_total);
    }
    if (WANTS_WEIGHT) {
      var weight_total = dweight_sum[e];
      if (ACCUMULATE_WEIGHT) {
        weight_total += dweight_of(at);
      }
      store_dweight(at, weight_total);
    }
  }
}
