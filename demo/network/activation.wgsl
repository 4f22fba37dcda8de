// y = 1 / (1 + e^-x), or with RELU max(x, 0).
//
// Mapping: a thread per element.
// Bindings: x, y [count].
struct Params {
  count: u32,
}

var<uniform> params: Params;
var<storage, read> x: array<f32>;
var<storage, read_write> y: array<f32>;

override RELU: bool = false;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let i = (wid.x + wid.y * grid.x) * 64u + index;
  if (i < params.count) {
    // e^-x is infinite only where y is 0 anyway; clamped, since WGSL promises nothing about infinities.
    y[i] = select(1.0 / (1.0 + exp(min(-x[i], 80.0))), max(x[i], 0.0), RELU);
  }
}
