// merge/joined
// mean and rstd of every channel, and the running statistics, from the statistics of all replicas.
//
// Mapping: a thread per channel.
// Bindings: joined [channels] (hi, lo, rstd, M2, or −M2·2^-168 where f32 has no room for it); mean [channels] (hi, lo); rstd [channels].
// Numerics: the host joins in float64; here nothing is computed but the running statistics.
// The host sets count to the elements of a channel in all replicas.
@group(0) @binding(22) var<storage, read> joined: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let channel = (wid.x + wid.y * grid.x) * WORKGROUP + index;
  if (channel >= params.channels) {
    return;
  }
  let j = joined[channel];
  let s = statistics_from(j.x, j.y, bitcast<u32>(j.z));
  save(channel, s);
  let all = Part(params.count, 0.0, abs(j.w), select(1.0, DOWN, j.w < 0.0));
  track(channel, s, all);
  keep_variance(channel, all);
}
