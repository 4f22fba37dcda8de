// gradients_vec4
// The sums of a thread's columns as dweight and dbias themselves, where one slot holds all rows: four a store.
@group(0) @binding(14) var<storage, read_write> dweight: array<W4>;
@group(0) @binding(15) var<storage, read_write> dbias: array<W4>;

fn store_gradients(slot: u32, col: u32, dbias_sum: vec4<f32>, dweight_sum: vec4<f32>) {
  let at = col >> 2u;
  if (WANTS_BIAS) {
    var total = dbias_sum;
    if (ACCUMULATE_BIAS) {
      total += vec4<f32>(dbias[at]);
    }
    dbias[at] = W4(total);
  }
  if (WANTS_WEIGHT) {
    var total = dweight_sum;
    if (ACCUMULATE_WEIGHT) {
      total += vec4<f32>(dweight[at]);
    }
    dweight[at] = W4(total);
  }
}
