// gradients/vec4
// needs: gradient_outputs storage
// The sums of a thread's columns as dweight and dbias themselves, where one split holds all rows: four a store.
var<storage, read_write> dweight: array<W4>;
var<storage, read_write> dbias: array<W4>;

fn store_gradients(split: u32, col: u32, dbias_sum: vec4<f32>, dweight_sum: vec4<f32>) {
  let at = col >> 2u;
  if (WANTS_BIAS) {
    var bias_total = dbias_sum;
    if (ACCUMULATE_BIAS) {
      bias_total += w_quad(dbias[at]);
    }
    dbias[at] = rounded_w(bias_total);
  }
  if (WANTS_WEIGHT) {
    var weight_total = dweight_sum;
    if (ACCUMULATE_WEIGHT) {
      weight_total += w_quad(dweight[at]);
    }
    dweight[at] = rounded_w(weight_total);
  }
}
