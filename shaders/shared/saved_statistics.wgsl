// saved_statistics
// needs: params set_statistics storage
// given by the kernel: partials
// Statistics that an earlier dispatch saved: mean as (hi, lo), rstd; or all three in one array (merge/pack.wgsl), or
// behind the partial sums (rows/backward_sums.wgsl), for kernels that have no binding left for two.
var<storage, read> mean: array<vec2<f32>>;
var<storage, read> rstd: array<f32>;
var<storage, read> statistics: array<vec4<f32>>;

// Of DyT, whose x is multiplied by it.
var<storage, read> alpha: array<W>;

override PACKED: bool = false;
override CARRIED: bool = false;
override SATURATES: bool = false;

fn saved(which: u32) -> Statistics {
  if (CARRIED) {
    let m = partials[params.carried + 2u * which];
    let r = partials[params.carried + 2u * which + 1u].x;
    return statistics_from(m.x, m.y, bitcast<u32>(r));
  } else if (PACKED) {
    let packed = statistics[which];
    return statistics_from(packed.x, packed.y, bitcast<u32>(packed.z));
  } else if (SATURATES) {
    let alpha_there = w_element(alpha[0], 0u);
    return Statistics(0.0, 0.0, alpha_there, 1.0, alpha_there);
  } else {
    var m = vec2<f32>();
    if (HAS_MEAN) {
      m = mean[params.first_set + which];
    }
    return statistics_from(m.x, m.y, bitcast<u32>(rstd[params.first_set + which]));
  }
}

// hi, lo and rstd as they are stored, for kernels that load those of several sets before they look at any.
fn load_statistics(which: u32) -> vec3<f32> {
  let at = params.first_set + which;
  if (PACKED) {
    return statistics[which].xyz;
  } else {
    if (HAS_MEAN) {
      return vec3<f32>(mean[at], rstd[at]);
    } else {
      return vec3<f32>(0.0, 0.0, rstd[at]);
    }
  }
}

// The same for kernels that get scale and unit from elsewhere and have no binding left for rstd.
fn saved_mean(which: u32, scale: f32, unit: f32) -> Statistics {
  var m = vec2<f32>();
  if (HAS_MEAN) {
    m = mean[params.first_set + which] * unit;
  }
  return Statistics(m.x, m.y, scale, unit, scale * unit);
}
