// mean_square
// The mean of the squares: the same interface as moments.wgsl with a mean of zero.
@group(0) @binding(8) var<storage, read_write> rstd: array<f32>;

alias Part = f32;  // Σx²

fn merge(a: Part, b: Part) -> Part {
  return a + b;
}

struct Chunk {
  q: vec4<f32>,
}

fn chunk_start(v: vec4<f32>) -> Chunk {
  return Chunk(vec4<f32>());
}

fn chunk_add(c: Chunk, v: vec4<f32>, valid: u32) -> Chunk {
  let d = within(valid, v);
  return Chunk(c.q + d * d);
}

fn chunk_part(c: Chunk, n: u32, k: f32) -> Part {
  return add_up(c.q);
}

fn common_pivot(a: f32, b: f32, c: f32) -> f32 {
  return 0.0;
}

fn pack(p: Part, k: f32) -> vec4<f32> {
  return vec4<f32>(p, 0.0, 0.0, 0.0);
}

fn unpack(v: vec4<f32>) -> Part {
  return v.x;
}

fn shifted(p: Part, by: f32) -> Part {
  return p;
}

fn finish(p: Part, k: f32) -> Statistics {
  return Statistics(0.0, 0.0, inverseSqrt(p / params.count + params.eps));
}

fn spread(p: Part) -> f32 {
  return p;
}

fn save(which: u32, s: Statistics) {
  rstd[params.first_set + which] = s.rstd;
}

fn centre(v: vec4<f32>, s: Statistics) -> vec4<f32> {
  return v;
}
