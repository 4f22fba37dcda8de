// response/forward
// y = x·d^−beta with d = k + alpha/size·Σx² over a window of channels.
//
// Mapping: a thread per element (elements.wgsl) or quad (quads.wgsl). No barrier.
// Bindings: x, y [runs, channels, inner].
// Determinism: every window has a fixed order.
@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let p = place_of((wid.x + wid.y * grid.x) * WORKGROUP + index);
  if (!p.alive) {
    return;
  }
  write_y(p.at, read_x(p.at) * power(denominator(p)));
}
