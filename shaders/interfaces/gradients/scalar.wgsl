// gradients/scalar
// needs: gradient_outputs params storage tensors
// The sums of a thread's columns as dweight and dbias themselves, where one split holds all rows: for rows that are not
// aligned to four.
var<storage, read_write> dweight: array<W>;
var<storage, read_write> dbias: array<W>;

fn store_gradients(split: u32, col: u32, dbias_sum: vec4<f32>, dweight_sum: vec4<f32>) {
  for (var e = 0u; e < valid_of(params.cols - col); e++) {
    let at = col + e;
    if (WANTS_BIAS) {
      var bias_total = dbias_sum[e];
      if (ACCUMULATE_BIAS) {
        bias_total += f32(dbias[at]);
      }
      dbias[at] = W(bias_total);
    }
    if (WANTS_WEIGHT) {
      var weight_total = dweight_sum[e];
      if (ACCUMULATE_WEIGHT) {
        weight_total += f32(dweight[at]);
      }
      dweight[at] = W(weight_total);
    }
  }
}
