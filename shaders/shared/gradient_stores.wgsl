// gradient_stores
// needs: gradient_elements gradient_outputs
// dweight and dbias of one channel from their sums, rounded once: ACCUMULATE_* add to what the gradients hold, before it.
fn store_gradients(at: u32, bias_sum: f32, weight_sum: f32) {
  if (WANTS_BIAS) {
    var b = bias_sum;
    if (ACCUMULATE_BIAS) {
      b += dbias_of(at);
    }
    store_dbias(at, b);
  }
  if (WANTS_WEIGHT) {
    var w = weight_sum;
    if (ACCUMULATE_WEIGHT) {
      w += dweight_of(at);
    }
    store_dweight(at, w);
  }
}
