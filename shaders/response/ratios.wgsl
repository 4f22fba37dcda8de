// dy·x·d^(−beta − 1) for long windows, where making it anew for every window that it lies in would cost more than
// storing it.
//
// Mapping: as response/forward.wgsl.
// Bindings: x, dy [runs, channels, inner]; ratios in f32, [runs, channels, quads] of four or [runs, channels].
@group(0) @binding(12) var<storage, read_write> ratios: array<V>;

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
  let c = p.channel;
  ratios[ratio_place(p, c)] = ratio(dy_at(p, c), x_at(p, c), d.a);
  if (c + 1u < params.channels) {
    ratios[ratio_place(p, c + 1u)] = ratio(dy_at(p, c + 1u), x_at(p, c + 1u), d.b);
  }
  if (c + 2u < params.channels) {
    ratios[ratio_place(p, c + 2u)] = ratio(dy_at(p, c + 2u), x_at(p, c + 2u), d.c);
  }
  if (c + 3u < params.channels) {
    ratios[ratio_place(p, c + 3u)] = ratio(dy_at(p, c + 3u), x_at(p, c + 3u), d.d);
  }
}
