// The sum of each column: the gradient of a bias.
//
// Mapping: a thread per column.
// Bindings: a [rows, cols]; c [cols].
struct Params {
  rows: u32,
  cols: u32,
}

var<uniform> params: Params;
var<storage, read> a: array<f32>;
var<storage, read_write> c: array<f32>;

override ACCUMULATE: bool = false;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let col = (wid.x + wid.y * grid.x) * 64u + index;
  if (col >= params.cols) {
    return;
  }
  var sum = 0.0;
  for (var row = 0u; row < params.rows; row++) {
    sum += a[row * params.cols + col];
  }
  if (ACCUMULATE) {
    sum += c[col];
  }
  c[col] = sum;
}
