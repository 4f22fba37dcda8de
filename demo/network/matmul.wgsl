// c = a·b, plus a bias per column or what c holds. a and b are read along strides, so that one kernel serves a layer's
// forward, x·Wᵀ, and both gradients, dy·W and dyᵀ·x.
//
// Mapping: a thread computes 4 × 4 elements of c, in registers.
// Bindings: a, b; bias [cols]; c [rows, cols].
// Determinism: each element is one sum, in order.
struct Params {
  rows: u32,
  cols: u32,
  depth: u32,
  a_row: u32,    // strides, in elements
  a_depth: u32,
  b_depth: u32,
  b_col: u32,
}

var<uniform> params: Params;
var<storage, read> a: array<f32>;
var<storage, read> b: array<f32>;
var<storage, read> bias: array<f32>;
var<storage, read_write> c: array<f32>;

override HAS_BIAS: bool = false;
override ACCUMULATE: bool = false;

fn store(row: u32, col: u32, values: vec4<f32>) {
  if (row >= params.rows) {
    return;
  }
  for (var j = 0u; j < 4u && col + j < params.cols; j++) {
    let i = row * params.cols + col + j;
    var value = values[j];
    if (HAS_BIAS) {
      value += bias[col + j];
    }
    if (ACCUMULATE) {
      value += c[i];
    }
    c[i] = value;
  }
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let across = (params.cols + 3u) / 4u;
  let tile = (wid.x + wid.y * grid.x) * 64u + index;
  let row = 4u * (tile / across);
  let col = 4u * (tile % across);
  if (row >= params.rows) {
    return;
  }
  // Rows and columns beyond the last repeat it; they are not stored.
  let lanes = vec4<u32>(0u, 1u, 2u, 3u);
  var at_a = min(vec4<u32>(row) + lanes, vec4<u32>(params.rows - 1u)) * params.a_row;
  var at_b = min(vec4<u32>(col) + lanes, vec4<u32>(params.cols - 1u)) * params.b_col;
  var sum0 = vec4<f32>();
  var sum1 = vec4<f32>();
  var sum2 = vec4<f32>();
  var sum3 = vec4<f32>();
  for (var k = 0u; k < params.depth; k++) {
    let line = vec4<f32>(b[at_b.x], b[at_b.y], b[at_b.z], b[at_b.w]);
    sum0 += a[at_a.x] * line;
    sum1 += a[at_a.y] * line;
    sum2 += a[at_a.z] * line;
    sum3 += a[at_a.w] * line;
    at_a += vec4<u32>(params.a_depth);
    at_b += vec4<u32>(params.b_depth);
  }
  store(row, col, sum0);
  store(row + 1u, col, sum1);
  store(row + 2u, col, sum2);
  store(row + 3u, col, sum3);
}
