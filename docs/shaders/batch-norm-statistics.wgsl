// BatchNorm forward in training, first of two: partial statistics.
// describe('batchNorm', {shape: [32, 64, 56, 56], training: true, runningMean: true, runningVar: true}): rows/statistics, f32, 32 lanes
//
// workgroups: 512 × 1 × 1
// uniform: positions 32, channels 64, groups 64, rows 2048, cols 3136, splits 1, carried 2048, split_length 784, planes_per_partial 1, eps 0.000009999999747378752, first_element 0
// binding 1: weight, f32 [64]
// binding 2: bias, f32 [64]
// binding 3: x, f32 [32, 64, 56, 56]
// binding 4: partials, scratch, 33792 bytes
//
// Made by npm run kernels from shaders/.
alias X = f32;
alias X4 = vec4<X>;
alias W = f32;
const HAS_WEIGHT: bool = true;
const HAS_BIAS: bool = true;
const WEIGHT_OFFSET: f32 = 0.0;
const AT_ONCE: u32 = 4u;
const WORKGROUP: u32 = 128u;
const LANES: u32 = 32u;
alias Sums = vec3<f32>;
alias Part = vec4<f32>;
struct Params {
  positions: u32,
  channels: u32,
  groups: u32,
  rows: u32,
  cols: u32,
  splits: u32,
  carried: u32,
  split_length: u32,
  planes_per_partial: u32,
  eps: f32,
  first_element: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<W>;
@group(0) @binding(2) var<storage, read> bias: array<W>;
@group(0) @binding(3) var<storage, read> x: array<X4>;
@group(0) @binding(4) var<storage, read_write> partials: array<vec4<f32>>;

fn add_up(v: vec4<f32>) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}

fn w_entry(i: u32) -> u32 {
  return i;
}

fn w_element(entry: W, i: u32) -> f32 {
  return f32(entry);
}

fn x_quad(entry: X4) -> vec4<f32> {
  return vec4<f32>(entry);
}

fn first_parameter(segment: u32) -> u32 {
  return segment % params.channels;
}

fn load_weight(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(w_element(weight[w_entry(start)], start));
}

fn load_bias(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(w_element(bias[w_entry(start)], start));
}

fn parameters_of(segment: u32) -> u32 {
  if (HAS_WEIGHT || HAS_BIAS) {
    return first_parameter(segment);
  } else {
    return 0u;
  }
}

fn weight_at(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return load_weight(start, col, valid) + WEIGHT_OFFSET;
}

fn bias_at(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return load_bias(start, col, valid);
}

fn place(i: u32) -> u32 {
  return (i + params.first_element) >> 2u;
}

fn quad_at(start: u32, q: u32) -> u32 {
  return start + q;
}

fn valid_of(remaining: u32) -> u32 {
  return 4u;
}

fn within(valid: u32, v: vec4<f32>) -> vec4<f32> {
  return v;
}

fn load_x(at: u32, valid: u32) -> vec4<f32> {
  return x_quad(x[at]);
}

fn input(at: u32, valid: u32) -> vec4<f32> {
  return load_x(at, valid);
}

fn store_input(at: u32, valid: u32, v: vec4<f32>) -> vec4<f32> {
  return v;
}

const DOWN = 0x1p-84f;

const UP = 0x1p84f;

fn out_of_range(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7fffffffu) >= 0x7f000000u;
}

fn quad_average(v: vec4<f32>) -> f32 {
  return v.x + 0.25 * (((v.y - v.x) + (v.z - v.x)) + (v.w - v.x));
}

fn next_scale(too_large: bool, squares: f32, scale: f32, attempt: u32) -> f32 {
  if (too_large) { return max(scale * DOWN, DOWN); }
  if (attempt == 0u && params.eps < 0x1p-90f && squares < 0x1p-70f) { return UP; }
  return scale;
}

struct Invocation {
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
}

fn workgroup_number(invocation: Invocation) -> u32 {
  return invocation.workgroup.x + invocation.workgroup.y * invocation.grid.x;
}

struct Worker {
  id: u32,
  lane: u32,
  index: u32,
  surplus: bool,
}

fn worker_of(invocation: Invocation, count: u32) -> Worker {
  let id = workgroup_number(invocation) * (WORKGROUP / LANES) + invocation.index / LANES;
  return Worker(min(id, count - 1u), invocation.index % LANES, invocation.index, id >= count);
}

fn join(a: Sums, b: Sums) -> Sums {
  let n = a.x + b.x;
  let share = select(b.x / n, 1.0, a.x == 0.0);
  let delta = b.y - a.y;
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

fn chunk_about(c: Chunk, v: vec4<f32>, is_first: bool) -> Chunk {
  return Chunk(select(c.pivot, quad_average(v), is_first), c.s, c.q);
}

fn chunk_add(c: Chunk, v: vec4<f32>, scale: f32, valid: u32) -> Chunk {
  let d = within(valid, fma(v, vec4<f32>(scale), vec4<f32>(-c.pivot)));
  return Chunk(c.pivot, c.s + d, c.q + d * d);
}

fn chunk_sums(c: Chunk, n: u32, k: f32) -> Sums {
  let s = add_up(c.s);
  let m = s / f32(n);
  let q = add_up(c.q);
  return Sums(f32(n), (c.pivot - k) + m, select(max(q - s * m, 0.0), q, out_of_range(q)));
}

fn squares_of(s: Sums) -> f32 {
  return s.z;
}

fn common_pivot(a: f32, b: f32, c: f32) -> f32 {
  return max(min(a, b), min(max(a, b), c));
}

fn pack(p: Part, k: f32) -> vec4<f32> {
  let n = bitcast<u32>(p.x) | select(0u, 0x80000000u, p.w < 1.0);
  let m2 = bitcast<u32>(p.z) | select(0u, 0x80000000u, p.w > 1.0);
  return vec4<f32>(bitcast<f32>(n), p.y, bitcast<f32>(m2), k);
}

const CHUNK = 16u;

fn scan(base: u32, first: u32, end: u32, k: f32) -> Part {
  let start = place(base);
  var scale = 1.0;
  var total = Sums();
  for (var attempt = 0u; attempt < 3u; attempt++) {
    total = Sums();
    var block = Sums();
    var merged = 0u;
    for (var q = first; q < end; q += CHUNK * LANES) {
      let chunk = scan_chunk(start, q, min(end, q + CHUNK * LANES), k, scale);
      total = join(total, chunk);
    }
    let next = next_scale(outside(total), squares_of(total), scale, attempt);
    if (next == scale) { break; }
    scale = next;
  }
  return Part(total, scale);
}

fn scan_chunk(start: u32, first: u32, end: u32, k: f32, scale: f32) -> Sums {
  return scan_abreast(start, first, end, k, scale);
}

fn scan_abreast(start: u32, first: u32, end: u32, k: f32, scale: f32) -> Sums {
  var chunk: Chunk;
  var n = 0u;
  var q = first;
  for (; q + (AT_ONCE - 1u) * LANES < end; q += AT_ONCE * LANES) {
    var some: array<vec4<f32>, AT_ONCE>;
    for (var i = 0u; i < AT_ONCE; i++) {
      let next = q + i * LANES;
      some[i] = input(quad_at(start, next), valid_of(params.cols - 4u * next));
    }
    chunk = chunk_about(chunk, some[0] * scale, q == first);
    for (var i = 0u; i < AT_ONCE; i++) {
      let next = q + i * LANES;
      let valid = valid_of(params.cols - 4u * next);
      chunk = chunk_add(chunk, store_input(quad_at(start, next), valid, some[i]), scale, valid);
      n += valid;
    }
  }
  for (; q < end; q += LANES) {
    let valid = valid_of(params.cols - 4u * q);
    let v = store_input(quad_at(start, q), valid, input(quad_at(start, q), valid));
    chunk = chunk_add(chunk_about(chunk, v * scale, q == first), v, scale, valid);
    n += valid;
  }
  return chunk_sums(chunk, n, k * scale);
}

fn quad_mean(base: u32, q: u32) -> f32 {
  let v = input(place(base + 4u * q), valid_of(params.cols - 4u * q));
  let typical = quad_average(v);
  return select(typical, v.x, out_of_range(typical));
}

fn segment_pivot(base: u32) -> f32 {
  let last = (params.cols - 1u) / 4u;
  return common_pivot(quad_mean(base, 0u), quad_mean(base, last / 2u), quad_mean(base, last));
}

var<workgroup> scratch: array<Part, WORKGROUP>;

fn reduce(part: Part, worker: Worker) -> Part {
  scratch[worker.index] = part;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (worker.lane < half) {
      scratch[worker.index] = merge(scratch[worker.index], scratch[worker.index + half]);
    }
    workgroupBarrier();
  }
  let total = scratch[worker.index - worker.lane];
  workgroupBarrier();
  return total;
}

fn begins_set(segment: u32) -> bool {
  let first_position = segment % (params.positions * params.channels) < params.channels;
  return first_position && segment % (params.channels / params.groups) == 0u;
}

fn partial_of_segment(segment: u32, split: u32) -> u32 {
  return (segment / params.channels * params.splits + split) * params.channels + segment % params.channels;
}

fn base_of_segment(segment: u32) -> u32 {
  return (segment / params.channels * params.planes_per_partial * params.channels + segment % params.channels) * params.cols;
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows * params.splits);
  let segment = worker.id / params.splits;
  let split = worker.id % params.splits;
  let base = base_of_segment(segment);
  let quads = select((params.cols + 3u) / 4u, 0u, worker.surplus);
  let first = split * params.split_length;
  let k = segment_pivot(base);
  let end = min(first + params.split_length, quads);
  var total = scan(base, first + worker.lane, end, k);
  let part = reduce(total, worker);
  if (worker.lane == 0u && !worker.surplus) {
    partials[partial_of_segment(segment, split)] = pack(part, k);
    if (split == 0u && begins_set(segment)) {
      let parameters = parameters_of(segment);
      let parameter = vec2<f32>(weight_at(parameters, 0u, 1u).x, bias_at(parameters, 0u, 1u).x);
      partials[params.carried + segment] = vec4<f32>(parameter, 0.0, 0.0);
    }
  }
}
