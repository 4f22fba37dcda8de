// y = x·d^−beta with d = k + alpha/size·Σx² over a window of channels.
//
// Mapping: a thread has four neighbouring channels, and of each a quad (planes.wgsl) or an element (columns.wgsl). It
// reads size + 3 channels; what neighbouring threads share comes from the caches. No barrier.
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
  let d = denominators(p, p.channel);
  let last = params.channels - 1u;
  emit_y(p, Four(
    x_at(p, p.channel) * power(d.a),
    x_at(p, min(p.channel + 1u, last)) * power(d.b),
    x_at(p, min(p.channel + 2u, last)) * power(d.c),
    x_at(p, min(p.channel + 3u, last)) * power(d.d),
  ));
}
