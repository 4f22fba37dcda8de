// convert/cast
// y = x in another storage type.
//
// Mapping: a thread per element; a large tensor is walked in parts.
// Bindings: x, y [count].
// Numerics: f16 to f32 is exact; f32 to f16 rounds as every store of the norms does.
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(5) var<storage, read_write> y: array<W>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let i = (wid.x + wid.y * grid.x) * WORKGROUP + index;
  if (i >= params.cols) {
    return;
  }
  y[i] = W(x[i]);
}
