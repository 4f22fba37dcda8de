// response/ratios
// dy·x·d^(−beta − 1), what response/backward.wgsl sums.
//
// Mapping: as response/forward.wgsl.
// Bindings: x, dy [runs, channels, inner]; ratios [runs, channels, span] in f32.
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
  let d = denominator(p);
  ratios[p.own] = read_dy(p.at) * read_x(p.at) * power(d) / d;
}
