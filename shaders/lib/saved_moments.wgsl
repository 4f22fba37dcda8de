// saved_moments
// Statistics that an earlier dispatch saved: mean as (hi, lo), rstd.
@group(0) @binding(7) var<storage, read> mean: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read> rstd: array<f32>;

const HAS_MEAN = true;

fn saved(which: u32) -> Statistics {
  let m = mean[params.first_set + which];
  return statistics_from(m.x, m.y, bitcast<u32>(rstd[params.first_set + which]));
}

// The same for kernels that get scale and unit from elsewhere and have no binding left for rstd.
fn saved_mean(which: u32, scale: f32, unit: f32) -> Statistics {
  let m = mean[params.first_set + which] * unit;
  return Statistics(m.x, m.y, scale, unit, scale * unit);
}

fn centre(v: vec4<f32>, s: Statistics) -> vec4<f32> {
  return (v * s.unit - s.hi) - s.lo;
}
