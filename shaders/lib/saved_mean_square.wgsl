// saved_mean_square
// Statistics that an earlier dispatch saved: rstd; the mean is zero.
@group(0) @binding(8) var<storage, read> rstd: array<f32>;

const HAS_MEAN = false;

fn saved(which: u32) -> Statistics {
  return statistics_from(0.0, 0.0, bitcast<u32>(rstd[params.first_set + which]));
}

fn saved_mean(which: u32, scale: f32, unit: f32) -> Statistics {
  return Statistics(0.0, 0.0, scale, unit, scale * unit);
}

fn centre(v: vec4<f32>, s: Statistics) -> vec4<f32> {
  return v * s.unit;
}
