// Adds the scores of a batch to a tally, and counts its samples.
//
// Mapping: one thread, so that batches that were recorded together add up in order.
// Bindings: scores [rows] (loss, correct); tally [3] (Σ loss, Σ correct, samples).
struct Params {
  rows: u32,
}

var<uniform> params: Params;
var<storage, read> scores: array<vec2<f32>>;
var<storage, read_write> tally: array<f32>;

@compute @workgroup_size(1)
fn main() {
  var sum = vec2<f32>();
  for (var row = 0u; row < params.rows; row++) {
    sum += scores[row];
  }
  tally[0] += sum.x;
  tally[1] += sum.y;
  tally[2] += f32(params.rows);
}
