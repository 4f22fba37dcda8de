// merge/joined
// needs: outcome params set_statistics statistics worker
// mean and rstd of every channel, and the running statistics, from the statistics of all replicas.
//
// Mapping: a thread per channel.
// Bindings: joined [channels] (hi, lo, rstd, M2, or −M2·2^-168 where f32 has no room for it); mean [channels] (hi, lo);
// rstd [channels].
// Numerics: the host joins in float64; here nothing is computed but the running statistics.
// The host sets count to the elements of a channel in all replicas.
var<storage, read> joined: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let channel = thread_id(invocation);
  if (channel >= params.channels) { return; }
  let j = joined[channel];
  let s = statistics_from(j.x, j.y, bitcast<u32>(j.z));
  let all = Part(params.count, 0.0, abs(j.w), select(1.0, DOWN, j.w < 0.0));
  store_outcome(channel, s, all);
}
