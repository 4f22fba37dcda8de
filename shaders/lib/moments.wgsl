// moments
// Mean and variance in one pass, at an accuracy that does not depend on the offset of the data.
//
// A chunk of up to 64 elements is summed about its own pivot p: Σ(x−p) and Σ(x−p)². Chunks, lanes, workgroups merge
// as (n, mean − k, M2) by the formula of Chan, Golub and LeVeque (1979), where k is common to the whole set, so that
// what is merged is small when mean ≫ std. E[x²]−E[x]² loses everything there; Welford's update and two passes lose
// |mean|/std units in the last place.
@group(0) @binding(7) var<storage, read_write> mean: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> rstd: array<f32>;

alias Part = vec3<f32>;  // (n, mean − k, M2)

fn merge(a: Part, b: Part) -> Part {
  let n = a.x + b.x;
  // Exactly 1 beside an empty side: n / n may be a last bit off, and mean − k with it.
  let share = select(b.x / n, 1.0, a.x == 0.0);
  let delta = b.y - a.y;
  // a.x·share before delta²: an empty side must not turn an overflow into NaN.
  return Part(n, a.y + delta * share, a.z + b.z + delta * (a.x * share) * delta);
}

struct Chunk {
  pivot: f32,
  s: vec4<f32>,
  q: vec4<f32>,
}

// The pivot is the mean of the first quad: against its first element that cuts the cancellation in
// Σ(x−p)² − (Σ(x−p))²/n where that element is an outlier, and it is exact for constant data.
fn chunk_start(v: vec4<f32>) -> Chunk {
  return Chunk(0.25 * add_up(v), vec4<f32>(), vec4<f32>());
}

fn chunk_add(c: Chunk, v: vec4<f32>, valid: u32) -> Chunk {
  let d = within(valid, v - c.pivot);
  return Chunk(c.pivot, c.s + d, c.q + d * d);
}

fn chunk_part(c: Chunk, n: u32, k: f32) -> Part {
  let s = add_up(c.s);
  let m = s / f32(n);
  return Part(f32(n), (c.pivot - k) + m, max(add_up(c.q) - s * m, 0.0));
}

// The common pivot: the median of three samples, so that one outlier cannot spoil it. The closer it is to the mean, the
// less do merges round.
fn common_pivot(a: f32, b: f32, c: f32) -> f32 {
  return max(min(a, b), min(max(a, b), c));
}

fn pack(p: Part, k: f32) -> vec4<f32> {
  return vec4<f32>(p, k);
}

fn unpack(v: vec4<f32>) -> Part {
  return v.xyz;
}

// The same part relative to k + by.
fn shifted(p: Part, by: f32) -> Part {
  return Part(p.x, p.y - by, p.z);
}

// hi is the mean rounded to f32 and lo what that lost. `mask` is all ones; since the compiler cannot know, it cannot
// fold (k − (k + m)) + m into zero, as WGSL would let it.
fn finish(p: Part, k: f32) -> Statistics {
  let hi = bitcast<f32>(bitcast<u32>(k + p.y) & params.mask);
  return Statistics(hi, (k - hi) + p.y, inverseSqrt(p.z / params.count + params.eps));
}

// The sum of squared deviations from the mean.
fn spread(p: Part) -> f32 {
  return p.z;
}

fn save(which: u32, s: Statistics) {
  mean[params.first_set + which] = vec2<f32>(s.hi, s.lo);
  rstd[params.first_set + which] = s.rstd;
}

fn centre(v: vec4<f32>, s: Statistics) -> vec4<f32> {
  return (v - s.hi) - s.lo;
}
