// response/ratios
// needs: elements response_power response_window worker
// dy·x·d^(−beta − 1), what response/backward.wgsl sums.
//
// Mapping: as response/forward.wgsl.
// Bindings: x, dy [segments, channels, inner]; ratios [segments, channels, span] in f32.
var<storage, read_write> ratios: array<V>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let p = place_of(thread_id(invocation));
  if (!p.in_range) { return; }
  let d = denominator(p);
  ratios[p.own] = read_dy(p.at) * read_x(p.at) * power(d) / d;
}
