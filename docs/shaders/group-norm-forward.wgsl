// GroupNorm forward with SiLU, as diffusion models have it: each group stays in registers.
// describe('groupNorm', {shape: [8, 320, 32, 32], numGroups: 32, activation: 'silu'}): rows/forward_registers, f32, 256 lanes
//
// workgroups: 256 × 1 × 1
// uniform: channels 320, inner 1024, groups 32, rows 256, cols 10240, opaque_ones 4294967295, count 10240, eps 0.000009999999747378752, first_element 0, first_set 0
// binding 1: weight, f32 [320]
// binding 2: bias, f32 [320]
// binding 3: x, f32 [8, 320, 32, 32]
// binding 4: y, f32 [8, 320, 32, 32]
// binding 5: mean, f32 [8, 32, 2]
// binding 6: rstd, f32 [8, 32]
//
// Made by npm run kernels from shaders/.
alias X = f32;
alias X4 = vec4<X>;
alias Y = f32;
alias Y4 = vec4<Y>;
alias W = f32;
const HAS_WEIGHT: bool = true;
const HAS_BIAS: bool = true;
const WEIGHT_OFFSET: f32 = 0.0;
const WORKGROUP: u32 = 256u;
const LANES: u32 = 256u;
const ITEMS: u32 = 10u;
alias Sums = vec3<f32>;
alias Part = vec4<f32>;
struct Params {
  channels: u32,
  inner: u32,
  groups: u32,
  rows: u32,
  cols: u32,
  opaque_ones: u32,
  count: f32,
  eps: f32,
  first_element: u32,
  first_set: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<W>;
@group(0) @binding(2) var<storage, read> bias: array<W>;
@group(0) @binding(3) var<storage, read> x: array<X4>;
@group(0) @binding(4) var<storage, read_write> y: array<Y4>;
@group(0) @binding(5) var<storage, read_write> mean: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> rstd: array<f32>;

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

fn rounded_y(v: vec4<f32>) -> Y4 {
  return Y4(v);
}

fn first_parameter(segment: u32) -> u32 {
  return segment % params.groups * (params.channels / params.groups);
}

fn channel_at(start: u32, col: u32) -> u32 {
  let inside = min(col, params.cols - 1u);
  return start + u32((f32(inside) + 0.5) * (1.0 / f32(params.inner)));
}

fn weight_of(channel: u32) -> f32 {
  return w_element(weight[w_entry(channel)], channel);
}

fn bias_of(channel: u32) -> f32 {
  return w_element(bias[w_entry(channel)], channel);
}

fn load_weight(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(weight_of(channel_at(start, col)));
}

fn load_bias(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(bias_of(channel_at(start, col)));
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

fn affine(centred: vec4<f32>, scale: f32, w: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return centred * (scale * w) + b;
}

fn sigmoid(z: f32) -> f32 {
  let e = exp(-abs(z));
  return select(1.0, e, z < 0.0) / (1.0 + e);
}

fn activate(z: vec4<f32>) -> vec4<f32> {
  return z * vec4<f32>(sigmoid(z.x), sigmoid(z.y), sigmoid(z.z), sigmoid(z.w));
}

fn activated(z: vec4<f32>) -> vec4<f32> {
  return activate(z);
}

fn place(i: u32) -> u32 {
  return (i + params.first_element) >> 2u;
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

fn store_y(at: u32, valid: u32, v: vec4<f32>) {
  y[at] = rounded_y(v);
}

fn added_residual(at: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>();
}

fn finished(z: vec4<f32>, residual_quad: vec4<f32>) -> vec4<f32> {
  return activated(z);
}

fn input(at: u32, valid: u32) -> vec4<f32> {
  return load_x(at, valid);
}

fn store_input(at: u32, valid: u32, v: vec4<f32>) -> vec4<f32> {
  return v;
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

const AHEAD = 4u;

struct RowQuad {
  col: u32,
  valid: u32,
  at: u32,
  beyond: bool,
}

fn row_quad(base: u32, lane: u32, item: u32) -> RowQuad {
  let q = lane + item * LANES;
  return RowQuad(4u * q, valid_of(4u), place(base + 4u * q), false);
}

struct Statistics {
  hi: f32,
  lo: f32,
  scale: f32,
  unit: f32,
  rstd: f32,
}

const DOWN = 0x1p-84f;

const UP = 0x1p84f;

const SMALL = 0x1p-60f;

const NOT_A_NUMBER = 0x7fc00000u;

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

fn eps_at(scale: f32) -> f32 {
  let bits = bitcast<u32>(params.eps);
  if (scale > 1.0 && bits < 0x00800000u) { return f32(bits) * 0x1p19f; }
  return params.eps * scale * scale;
}

fn rstd_of(squares: f32, scale: f32) -> u32 {
  let r = inverseSqrt(squares / params.count + eps_at(scale));
  let beyond = (bitcast<u32>(r * max(scale, 1.0)) & 0x7fffffffu) > 0x73800000u;
  if ((out_of_range(squares) && scale == DOWN) || beyond) { return NOT_A_NUMBER; }
  let bits = bitcast<u32>(r);
  let exponent = bits >> 23u;
  if (scale >= 1.0 || exponent == 255u) { return bitcast<u32>(r * scale); }
  if (exponent > 84u) { return bits - (84u << 23u); }
  let shift = 85u - exponent;
  return (((bits & 0x7fffffu) | 0x800000u) + (1u << (shift - 1u))) >> shift;
}

fn statistics_from(hi: f32, lo: f32, bits: u32) -> Statistics {
  let r = bitcast<f32>(bits & params.opaque_ones);
  let plain = bits >= 0x0d800000u || bits == 0u;
  let shift = countLeadingZeros(bits) - 8u;
  let subnormal = ((61u - shift) << 23u) | ((bits << shift) & 0x7fffffu);
  let small = select(bits + (60u << 23u), subnormal, bits < 0x00800000u);
  var scale = bitcast<f32>(select(small, bits, plain) & params.opaque_ones);
  let unit = select(SMALL, 1.0, plain);
  let means = select(vec2<f32>(hi, lo), vec2<f32>(r), bits == NOT_A_NUMBER);
  let scaled = select(means * SMALL, means, plain);
  return Statistics(scaled.x, scaled.y, scale, unit, r);
}

fn centre(v: vec4<f32>, s: Statistics) -> vec4<f32> {
  return fma(v, vec4<f32>(s.unit), vec4<f32>(-s.hi)) - s.lo;
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

fn chunk_start(v: vec4<f32>) -> Chunk {
  return Chunk(quad_average(v), vec4<f32>(), vec4<f32>());
}

fn chunk_if(counts: bool, more: Chunk, before: Chunk) -> Chunk {
  return Chunk(before.pivot, select(before.s, more.s, counts), select(before.q, more.q, counts));
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

fn finish(p: Part, k: f32) -> Statistics {
  let pivot = k * p.w;
  let hi = bitcast<f32>(bitcast<u32>(pivot + p.y) & params.opaque_ones);
  let lo = (pivot - hi) + p.y;
  return statistics_from(hi / p.w, lo / p.w, rstd_of(p.z, p.w));
}

fn save(which: u32, s: Statistics) {
  mean[params.first_set + which] = vec2<f32>(s.hi, s.lo) / s.unit;
  rstd[params.first_set + which] = s.rstd;
}

fn save_for_backward(lane: u32, which: u32, s: Statistics) {
  if (lane == 0u) {
    save(which, s);
  }
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

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows);
  let base = worker.id * params.cols;
  var values: array<vec4<f32>, ITEMS>;
  for (var j = 0u; j < ITEMS; j++) {
    let quad = row_quad(base, worker.lane, j);
    values[j] = input(quad.at, quad.valid);
  }
  let k = segment_pivot(base);
  let s = finish(reduce(part_of_row(&values, base, worker.lane, k), worker), k);
  if (worker.surplus) { return; }
  let parameters = parameters_of(worker.id);
  var maps: array<Map, AHEAD>;
  for (var j = 0u; j < min(AHEAD, ITEMS); j++) {
    maps[j] = map_of(parameters, row_quad(base, worker.lane, j));
  }
  for (var j = 0u; j < ITEMS; j++) {
    store_quad(row_quad(base, worker.lane, j), values[j], s, maps[j % AHEAD]);
    if (j + AHEAD < ITEMS) {
      maps[j % AHEAD] = map_of(parameters, row_quad(base, worker.lane, j + AHEAD));
    }
  }
  save_for_backward(worker.lane, worker.id, s);
}

struct Map {
  w: vec4<f32>,
  b: vec4<f32>,
  residual_quad: vec4<f32>,
}

fn map_of(parameters: u32, quad: RowQuad) -> Map {
  return Map(
    weight_at(parameters, quad.col, quad.valid),
    bias_at(parameters, quad.col, quad.valid),
    added_residual(quad.at, quad.valid),
  );
}

fn store_quad(quad: RowQuad, v: vec4<f32>, s: Statistics, map: Map) {
  let z = affine(centre(v, s), s.scale, map.w, map.b);
  let out = finished(z, map.residual_quad);
  if (!quad.beyond) {
    store_input(quad.at, quad.valid, v);
    store_y(quad.at, quad.valid, out);
  }
}

fn part_of_row(values: ptr<function, array<vec4<f32>, ITEMS>>, base: u32, lane: u32, k: f32) -> Part {
  var scale = 1.0;
  var total = Sums();
  for (var attempt = 0u; attempt < 3u; attempt++) {
    var chunk = chunk_start(values[0] * scale);
    var n = 0u;
    for (var j = 0u; j < ITEMS; j++) {
      let quad = row_quad(base, lane, j);
      chunk = chunk_if(!quad.beyond, chunk_add(chunk, values[j], scale, quad.valid), chunk);
      n += select(quad.valid, 0u, quad.beyond);
    }
    total = chunk_sums(chunk, n, k * scale);
    let next = next_scale(outside(total), squares_of(total), scale, attempt);
    if (next == scale) { break; }
    scale = next;
  }
  return select(Part(total, scale), Part(), row_quad(base, lane, 0u).beyond);
}
