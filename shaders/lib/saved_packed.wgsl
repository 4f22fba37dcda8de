// saved_packed
// Statistics that an earlier dispatch saved, in one array (merge/pack.wgsl): for kernels that have no binding left for two.
@group(0) @binding(20) var<storage, read> statistics: array<vec4<f32>>;

const HAS_MEAN = true;

fn saved(which: u32) -> Statistics {
  let s = statistics[which];
  return statistics_from(s.x, s.y, bitcast<u32>(s.z));
}

fn centre(v: vec4<f32>, s: Statistics) -> vec4<f32> {
  return (v * s.unit - s.hi) - s.lo;
}
