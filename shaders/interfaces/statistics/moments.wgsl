// statistics/moments
// needs: params set_statistics tensors
// Mean and variance in one pass, at an accuracy that depends neither on the offset of the data nor on their magnitude.
//
// A chunk of up to 64 elements is summed about its own pivot p: Σ(x−p) and Σ(x−p)². Chunks, lanes, workgroups merge
// as (n, mean − k, M2) by the formula of Chan, Golub and LeVeque (1979), where k is common to the whole set, so that
// what is merged is small when mean ≫ std. E[x²]−E[x]² loses everything there; Welford's update and two passes lose
// |mean|/std units in the last place. Where sums leave the range of f32, they are made again of x times a power of two
// (shared/set_statistics.wgsl), lane by lane; parts of different scales meet at the smaller one.
var<storage, read_write> mean: array<vec2<f32>>;
var<storage, read_write> rstd: array<f32>;

alias Sums = vec3<f32>;  // (n, mean − k, M2) of elements at one scale
alias Part = vec4<f32>;  // Sums, and their scale

fn join(a: Sums, b: Sums) -> Sums {
  let n = a.x + b.x;
  // Exactly 1 beside an empty side: n / n may be a last bit off, and mean − k with it.
  let share = select(b.x / n, 1.0, a.x == 0.0);
  let delta = b.y - a.y;
  // a.x·share before delta²: an empty side must not turn an overflow into NaN.
  return Sums(n, a.y + delta * share, a.z + b.z + delta * (a.x * share) * delta);
}

fn outside(s: Sums) -> bool {
  return out_of_range(s.y) || out_of_range(s.z);
}

fn at_scale(p: Part, scale: f32) -> Sums {
  let f = scale / p.w;
  return Sums(p.x, p.y * f, p.z * f * f);
}

fn merge(a: Part, b: Part) -> Part {
  if (a.x == 0.0) { return b; }
  if (b.x == 0.0) { return a; }
  var scale = min(a.w, b.w);
  var both = join(at_scale(a, scale), at_scale(b, scale));
  while (scale > DOWN && outside(both)) {
    scale *= DOWN;
    both = join(at_scale(a, scale), at_scale(b, scale));
  }
  return Part(both, scale);
}

struct Chunk {
  pivot: f32,
  s: vec4<f32>,
  q: vec4<f32>,
}

// The pivot is the mean of the first quad: against its first element that cuts the cancellation in
// Σ(x−p)² − (Σ(x−p))²/n where that element is an outlier, and it is exact for constant data.
fn chunk_start(v: vec4<f32>) -> Chunk {
  return Chunk(quad_average(v), vec4<f32>(), vec4<f32>());
}

// An empty chunk with its first quad's pivot, or one that has its pivot.
fn chunk_about(c: Chunk, v: vec4<f32>, is_first: bool) -> Chunk {
  return Chunk(select(c.pivot, quad_average(v), is_first), c.s, c.q);
}

// A chunk that has one more quad, or not.
fn chunk_if(counts: bool, more: Chunk, before: Chunk) -> Chunk {
  return Chunk(before.pivot, select(before.s, more.s, counts), select(before.q, more.q, counts));
}

// v·scale − pivot in one operation: scale is a power of two.
fn chunk_add(c: Chunk, v: vec4<f32>, scale: f32, valid: u32) -> Chunk {
  let d = within(valid, fma(v, vec4<f32>(scale), vec4<f32>(-c.pivot)));
  return Chunk(c.pivot, c.s + d, c.q + d * d);
}

fn chunk_sums(c: Chunk, n: u32, k: f32) -> Sums {
  let s = add_up(c.s);
  let m = s / f32(n);
  let q = add_up(c.q);
  // max(NaN, 0) is 0: what has left the range must not look like a constant chunk.
  return Sums(f32(n), (c.pivot - k) + m, select(max(q - s * m, 0.0), q, out_of_range(q)));
}

fn squares_of(s: Sums) -> f32 {
  return s.z;
}

// The common pivot: the median of three samples, so that one outlier cannot spoil it. The closer it is to the mean, the
// less do merges round.
fn common_pivot(a: f32, b: f32, c: f32) -> f32 {
  return max(min(a, b), min(max(a, b), c));
}

// The scale goes into two signs that are never negative otherwise.
fn pack(p: Part, k: f32) -> vec4<f32> {
  let n = bitcast<u32>(p.x) | select(0u, 0x80000000u, p.w < 1.0);
  let m2 = bitcast<u32>(p.z) | select(0u, 0x80000000u, p.w > 1.0);
  return vec4<f32>(bitcast<f32>(n), p.y, bitcast<f32>(m2), k);
}

fn unpack(v: vec4<f32>) -> Part {
  let signs = vec2<u32>(bitcast<u32>(v.x), bitcast<u32>(v.z));
  let scale = select(select(1.0, UP, signs.y >> 31u == 1u), DOWN, signs.x >> 31u == 1u);
  return Part(bitcast<f32>(signs.x & 0x7fffffffu), v.y, bitcast<f32>(signs.y & 0x7fffffffu), scale);
}

// The mean of a part, relative to another number than its own k.
fn relative(v: vec4<f32>, k: f32) -> f32 {
  let p = unpack(v);
  return p.y / p.w + (v.w - k);
}

// A part relative to another number than its own k.
fn unpack_to(v: vec4<f32>, k: f32) -> Part {
  var p = unpack(v);
  // Not w·scale − k·scale, in which a compiler that rearranges sums loses what two close numbers differ by.
  var both = Sums(p.x, p.y + (v.w - k) * p.w, p.z);
  if (outside(both)) {
    // Rounded before they are subtracted, by a mask as in finish().
    let own = bitcast<f32>(bitcast<u32>(v.w * DOWN) & params.opaque_ones);
    let other = bitcast<f32>(bitcast<u32>(k * DOWN) & params.opaque_ones);
    both = at_scale(p, DOWN);
    both.y += own - other;
    p.w = DOWN;
  }
  return Part(both, p.w);
}

// hi is the mean rounded to f32 and lo what that lost. `opaque_ones` has all bits set; since the compiler cannot know, it
// cannot fold (k − (k + m)) + m into zero, as WGSL would let it.
fn finish(p: Part, k: f32) -> Statistics {
  let pivot = k * p.w;
  let hi = bitcast<f32>(bitcast<u32>(pivot + p.y) & params.opaque_ones);
  let lo = (pivot - hi) + p.y;
  return statistics_from(hi / p.w, lo / p.w, rstd_of(p.z, p.w));
}

// The sum of squared deviations from the mean by a count: Infinity where f32 has no room for that, as PyTorch's is. The sum
// alone may have none where the quotient has.
fn variance_of(p: Part, count: f32) -> f32 {
  return p.z / count / p.w / p.w;
}

// The biased standard deviation, which f32 always has room for.
fn deviation(p: Part) -> f32 {
  return sqrt(p.z / params.count) / p.w;
}

fn save(which: u32, s: Statistics) {
  mean[params.first_set + which] = vec2<f32>(s.hi, s.lo) / s.unit;
  rstd[params.first_set + which] = s.rstd;
}
