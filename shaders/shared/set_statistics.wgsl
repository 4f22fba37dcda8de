// set_statistics
// needs: params
// What a set is normalized with, for x of every magnitude that f32 has.
//
// Squares and differences leave the range of f32 before x does, and rstd of a standard deviation beyond 8.5e37 is
// subnormal, which GPUs may take for zero. So sums are made of x times a power of two where the plain ones leave the
// range (interfaces/statistics/moments.wgsl, interfaces/statistics/mean_square.wgsl), and what is this large is made
// smaller before it is centred. All of this is decided by the bits of numbers, since WGSL lets a compiler assume that
// there is no Inf and no NaN.
struct Statistics {
  hi: f32,     // the mean is hi + lo, unevaluated; both times `unit`
  lo: f32,
  scale: f32,  // rstd / unit: what x·unit − hi − lo is multiplied by; with UNIT_LENGTH that by `shrink`
  unit: f32,   // 1; or 2^-60 where x − mean may overflow, and rstd or rstd·weight may be subnormal
  rstd: f32,
}

// Powers of two by which x is multiplied where its squares leave the range of f32.
const DOWN = 0x1p-84f;
const UP = 0x1p84f;
const SMALL = 0x1p-60f;
const NOT_A_NUMBER = 0x7fc00000u;

// Whether a number is 2^127 or more, Inf or NaN.
fn out_of_range(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) >= 0x7f000000u;
}

// The mean of a quad, exact where it is constant. A quarter of the sum would leave the range beyond 8.5e37, and a
// compiler may make that of a sum of quarters.
fn quad_average(v: vec4<f32>) -> f32 {
  return v.x + 0.25 * (((v.y - v.x) + (v.z - v.x)) + (v.w - v.x));
}

// The scale to try next, after sums that were made at `scale`: the same where they are in range. Small sums matter only
// beside an eps that is smaller still; constant ones may leave the range when scaled up, and then come back.
fn next_scale(too_large: bool, squares: f32, scale: f32, attempt: u32) -> f32 {
  if (too_large) { return max(scale * DOWN, DOWN); }
  if (attempt == 0u && params.eps < 0x1p-90f && squares < 0x1p-70f) { return UP; }
  return scale;
}

// eps for squares of x·scale. A subnormal one is read from its bits, since adapters may take it for zero.
fn eps_at(scale: f32) -> f32 {
  let bits = bitcast<u32>(params.eps);
  if (scale > 1.0 && bits < 0x00800000u) { return f32(bits) * 0x1p19f; }
  return params.eps * scale * scale;
}

// The bits of 1/sqrt(mean of the squares + eps) where the squares are those of x·scale: NaN where x has an Inf or NaN, and
// beyond 2^104, where what adapters take for zero of x and of its mean is no longer small beside the deviations.
fn rstd_of(squares: f32, scale: f32) -> u32 {
  let r = inverseSqrt(squares / params.count + eps_at(scale));
  let beyond = (bitcast<u32>(r * max(scale, 1.0)) & 0x7fffffffu) > 0x73800000u;
  if ((out_of_range(squares) && scale == DOWN) || beyond) { return NOT_A_NUMBER; }
  let bits = bitcast<u32>(r);
  let exponent = bits >> 23u;
  if (scale >= 1.0 || exponent == 255u) { return bitcast<u32>(r * scale); }
  // r·2^-84 without float arithmetic, whose result may be subnormal.
  if (exponent > 84u) { return bits - (84u << 23u); }
  let shift = 85u - exponent;
  return (((bits & 0x7fffffu) | 0x800000u) + (1u << (shift - 1u))) >> shift;
}

// L2 normalization: x̂ has a length of 1 and not a root mean square of 1. rstd is that of the root mean square all the same, for which f32
// has room where 1 / length is too small; `scale` has the rest of the way.
override UNIT_LENGTH: bool = false;
// Whether eps is the least length that a set is divided by, rather than added under the root.
override LIMITED: bool = false;

// What dx has of x̂ by way of rstd: nothing where eps has made that, and not x.
fn unless_limited(slope: vec4<f32>, scale: vec4<f32>, unit: f32) -> vec4<f32> {
  return select(slope, vec4<f32>(), scale * unit >= vec4<f32>(params.most_rstd * params.shrink));
}

// Without a branch, behind which a compiler would put the loads of what is normalized.
fn statistics_from(hi: f32, lo: f32, bits: u32) -> Statistics {
  let r = bitcast<f32>(bits & params.opaque_ones);
  let plain = bits >= 0x0d800000u || bits == 0u;  // 2^-100, or NaN; 0 where the variance is infinite
  // rstd·2^60, by its bits alone where those of bits are a subnormal's.
  let shift = countLeadingZeros(bits) - 8u;
  let subnormal = ((61u - shift) << 23u) | ((bits << shift) & 0x7fffffu);
  let small = select(bits + (60u << 23u), subnormal, bits < 0x00800000u);
  var scale = bitcast<f32>(select(small, bits, plain) & params.opaque_ones);
  if (UNIT_LENGTH) {
    scale *= params.shrink;
  }
  let unit = select(SMALL, 1.0, plain);
  // No mean where there is no number.
  let means = select(vec2<f32>(hi, lo), vec2<f32>(r), bits == NOT_A_NUMBER);
  let scaled = select(means * SMALL, means, plain);
  return Statistics(scaled.x, scaled.y, scale, unit, r);
}

// Whether the norm subtracts a mean: RMSNorm does not.
override HAS_MEAN: bool = true;

// unit is a power of two, so that v·unit is exact and one operation that multiplies and adds gives the bits of two.
fn centre(v: vec4<f32>, s: Statistics) -> vec4<f32> {
  if (HAS_MEAN) {
    return fma(v, vec4<f32>(s.unit), vec4<f32>(-s.hi)) - s.lo;
  } else {
    return v * s.unit;
  }
}
