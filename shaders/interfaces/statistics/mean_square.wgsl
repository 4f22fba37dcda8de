// statistics/mean_square
// needs: params set_statistics tensors
// The mean of the squares: the same interface as moments.wgsl with a mean of zero.
var<storage, read_write> rstd: array<f32>;

alias Sums = f32;        // Σx² of elements at one scale
alias Part = vec2<f32>;  // Sums, and their scale; both 0 where there are no elements

fn join(a: Sums, b: Sums) -> Sums {
  return a + b;
}

fn outside(s: Sums) -> bool {
  return out_of_range(s);
}

fn at_scale(p: Part, scale: f32) -> Sums {
  let f = scale / p.y;
  return p.x * f * f;
}

fn merge(a: Part, b: Part) -> Part {
  if (a.y == 0.0) { return b; }
  if (b.y == 0.0) { return a; }
  var scale = min(a.y, b.y);
  var both = at_scale(a, scale) + at_scale(b, scale);
  while (scale > DOWN && outside(both)) {
    scale *= DOWN;
    both = at_scale(a, scale) + at_scale(b, scale);
  }
  return Part(both, scale);
}

struct Chunk {
  q: vec4<f32>,
}

fn chunk_start(v: vec4<f32>) -> Chunk {
  return Chunk(vec4<f32>());
}

fn chunk_about(c: Chunk, v: vec4<f32>, is_first: bool) -> Chunk {
  return c;
}

fn chunk_if(counts: bool, more: Chunk, before: Chunk) -> Chunk {
  return Chunk(select(before.q, more.q, counts));
}

fn chunk_add(c: Chunk, v: vec4<f32>, scale: f32, valid: u32) -> Chunk {
  let d = within(valid, v * scale);
  return Chunk(c.q + d * d);
}

fn chunk_sums(c: Chunk, n: u32, k: f32) -> Sums {
  return add_up(c.q);
}

fn squares_of(s: Sums) -> f32 {
  return s;
}

fn common_pivot(a: f32, b: f32, c: f32) -> f32 {
  return 0.0;
}

fn pack(p: Part, k: f32) -> vec4<f32> {
  return vec4<f32>(p, 0.0, 0.0);
}

fn relative(v: vec4<f32>, k: f32) -> f32 {
  return 0.0;
}

fn unpack_to(v: vec4<f32>, k: f32) -> Part {
  return v.xy;
}

fn finish(p: Part, k: f32) -> Statistics {
  var bits = rstd_of(p.x, p.y);
  if (LIMITED) {
    // Positive numbers have the order of their bits. NaN stays only where x has an Inf or NaN.
    bits = select(min(bits, bitcast<u32>(params.most_rstd)), bits, out_of_range(p.x));
  }
  return statistics_from(0.0, 0.0, bits);
}

fn variance_of(p: Part, count: f32) -> f32 {
  return p.x / count / p.y / p.y;
}

fn deviation(p: Part) -> f32 {
  return sqrt(p.x / params.count) / p.y;
}

fn save(which: u32, s: Statistics) {
  rstd[params.first_set + which] = s.rstd;
}
