// Softmax and cross-entropy of each sample, and the gradient of their mean: (softmax(logits) − one-hot(label)) / rows.
//
// Mapping: a thread per sample.
// Bindings: logits [rows, classes]; labels [rows]; gradient [rows, classes]; scores [rows] (−ln p(label), whether the
// largest logit is the label's).
struct Params {
  rows: u32,
  classes: u32,
}

var<uniform> params: Params;
var<storage, read> logits: array<f32>;
var<storage, read> labels: array<u32>;
var<storage, read_write> gradient: array<f32>;
var<storage, read_write> scores: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let row = (wid.x + wid.y * grid.x) * 64u + index;
  if (row >= params.rows) {
    return;
  }
  let first = row * params.classes;
  let label = labels[row];
  var best = 0u;
  for (var j = 1u; j < params.classes; j++) {
    if (logits[first + j] > logits[first + best]) {
      best = j;
    }
  }
  // Relative to the largest logit, so that no exponential overflows.
  let largest = logits[first + best];
  var sum = 0.0;
  for (var j = 0u; j < params.classes; j++) {
    sum += exp(logits[first + j] - largest);
  }
  for (var j = 0u; j < params.classes; j++) {
    let probability = exp(logits[first + j] - largest) / sum;
    gradient[first + j] = (probability - select(0.0, 1.0, j == label)) / f32(params.rows);
  }
  scores[row] = vec2<f32>(log(sum) - (logits[first + label] - largest), select(0.0, 1.0, best == label));
}
