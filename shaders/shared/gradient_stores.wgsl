// gradient_stores
// needs: gradient_outputs storage
// dweight and dbias of one channel from their sums, rounded once: ACCUMULATE_* add to what the gradients hold, before it.
var<storage, read_write> dweight: array<W>;
var<storage, read_write> dbias: array<W>;

fn store_gradients(at: u32, bias_sum: f32, weight_sum: f32) {
  if (WANTS_BIAS) {
    var b = bias_sum;
    if (ACCUMULATE_BIAS) {
      b += f32(dbias[at]);
    }
    dbias[at] = W(b);
  }
  if (WANTS_WEIGHT) {
    var w = weight_sum;
    if (ACCUMULATE_WEIGHT) {
      w += f32(dweight[at]);
    }
    dweight[at] = W(w);
  }
}
