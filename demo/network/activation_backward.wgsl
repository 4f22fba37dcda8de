// dx = dy·y·(1 − y), or with RELU dy where y > 0: both derivatives can be had from the output alone.
//
// Mapping: a thread per element.
// Bindings: y, dy, dx [count].
struct Params {
  count: u32,
}

var<uniform> params: Params;
var<storage, read> y: array<f32>;
var<storage, read> dy: array<f32>;
var<storage, read_write> dx: array<f32>;

override RELU: bool = false;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let i = (wid.x + wid.y * grid.x) * 64u + index;
  if (i < params.count) {
    let slope = select(y[i] * (1.0 - y[i]), select(0.0, 1.0, y[i] > 0.0), RELU);
    dx[i] = dy[i] * slope;
  }
}
