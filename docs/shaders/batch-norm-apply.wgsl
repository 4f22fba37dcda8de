// BatchNorm forward in training, second of two: mean, rstd, the running statistics and y.
// describe('batchNorm', {shape: [32, 64, 56, 56], training: true, runningMean: true, runningVar: true}): rows/apply, f32, 32 lanes
//
// workgroups: 512 × 1 × 1
// uniform: positions 32, channels 64, groups 64, rows 2048, cols 3136, splits 1, set_splits 32, carried 2048, split_length 784, opaque_ones 4294967295, count 100352, eps 0.000009999999747378752, momentum 0.10000000149011612, first_element 0, first_set 0, first_segment 0
// binding 1: x, f32 [32, 64, 56, 56]
// binding 2: y, f32 [32, 64, 56, 56]
// binding 3: mean, f32 [64, 2]
// binding 4: rstd, f32 [64]
// binding 5: partials, scratch, 33792 bytes
// binding 6: running_mean, f32 [64]
// binding 7: running_var, f32 [64]
//
// Made by npm run kernels from shaders/.
alias X = f32;
alias X4 = vec4<X>;
alias Y = f32;
alias Y4 = vec4<Y>;
const HAS_WEIGHT: bool = true;
const HAS_BIAS: bool = true;
const WEIGHT_OFFSET: f32 = 0.0;
const WORKGROUP: u32 = 128u;
const LANES: u32 = 32u;
const AT_ONCE: u32 = 4u;
alias Sums = vec3<f32>;
alias Part = vec4<f32>;
const CORRECTION: f32 = 1.0;
struct Params {
  positions: u32,
  channels: u32,
  groups: u32,
  rows: u32,
  cols: u32,
  splits: u32,
  set_splits: u32,
  carried: u32,
  split_length: u32,
  opaque_ones: u32,
  count: f32,
  eps: f32,
  momentum: f32,
  first_element: u32,
  first_set: u32,
  first_segment: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X4>;
@group(0) @binding(2) var<storage, read_write> y: array<Y4>;
@group(0) @binding(3) var<storage, read_write> mean: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(5) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(7) var<storage, read_write> running_var: array<f32>;

fn x_quad(entry: X4) -> vec4<f32> {
  return vec4<f32>(entry);
}

fn rounded_y(v: vec4<f32>) -> Y4 {
  return Y4(v);
}

fn first_parameter(segment: u32) -> u32 {
  return segment % params.channels;
}

fn load_weight(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(partials[params.carried + start].x);
}

fn load_bias(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(partials[params.carried + start].y);
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

fn activated(z: vec4<f32>) -> vec4<f32> {
  return z;
}

fn place(i: u32) -> u32 {
  return (i + params.first_element) >> 2u;
}

fn valid_of(remaining: u32) -> u32 {
  return 4u;
}

fn load_x(at: u32, valid: u32) -> vec4<f32> {
  return x_quad(x[at]);
}

fn epilogue(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  return finished(z, added_residual(at, valid));
}

fn added_residual(at: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>();
}

fn finished(z: vec4<f32>, residual_quad: vec4<f32>) -> vec4<f32> {
  return activated(z);
}

fn stored_input(at: u32, valid: u32) -> vec4<f32> {
  return load_x(at, valid);
}

fn store_output(at: u32, valid: u32, s: Statistics, w: vec4<f32>, b: vec4<f32>) {
  let out_y = &y[at];
  *out_y = rounded_y(epilogue(at, valid, affine(centre(stored_input(at, valid), s), s.scale, w, b)));
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

fn set_of_segment(segment: u32) -> u32 {
  let sample = segment / (params.positions * params.channels);
  return sample * params.groups + segment % params.channels / (params.channels / params.groups);
}

fn begins_set(segment: u32) -> bool {
  let first_position = segment % (params.positions * params.channels) < params.channels;
  return first_position && segment % (params.channels / params.groups) == 0u;
}

struct SetParts {
  first: u32,
  last: u32,
  count: u32,
  width: u32,
  splits: u32,
  columns: u32,
}

struct SetPart {
  number: u32,
  at: u32,
  column: u32,
}

fn parts_of(which: u32) -> SetParts {
  let width = params.channels / params.groups;
  let sample = which / params.groups;
  let first = sample * params.set_splits * params.channels + (which - sample * params.groups) * width;
  let last = first + (params.set_splits - 1u) * params.channels + width - 1u;
  return SetParts(first, last, params.set_splits * width, width, LANES / width, LANES % width);
}

fn part_at(parts: SetParts, j: u32) -> u32 {
  let split = j / parts.width;
  return parts.first + split * params.channels + (j - split * parts.width);
}

fn first_part(parts: SetParts, lane: u32) -> SetPart {
  return SetPart(lane, part_at(parts, lane), lane % parts.width);
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

fn unpack(v: vec4<f32>) -> Part {
  let signs = vec2<u32>(bitcast<u32>(v.x), bitcast<u32>(v.z));
  let scale = select(select(1.0, UP, signs.y >> 31u == 1u), DOWN, signs.x >> 31u == 1u);
  return Part(bitcast<f32>(signs.x & 0x7fffffffu), v.y, bitcast<f32>(signs.y & 0x7fffffffu), scale);
}

fn relative(v: vec4<f32>, k: f32) -> f32 {
  let p = unpack(v);
  return p.y / p.w + (v.w - k);
}

fn unpack_to(v: vec4<f32>, k: f32) -> Part {
  var p = unpack(v);
  var both = Sums(p.x, p.y + (v.w - k) * p.w, p.z);
  if (outside(both)) {
    let own = bitcast<f32>(bitcast<u32>(v.w * DOWN) & params.opaque_ones);
    let other = bitcast<f32>(bitcast<u32>(k * DOWN) & params.opaque_ones);
    both = at_scale(p, DOWN);
    both.y += own - other;
    p.w = DOWN;
  }
  return Part(both, p.w);
}

fn finish(p: Part, k: f32) -> Statistics {
  let pivot = k * p.w;
  let hi = bitcast<f32>(bitcast<u32>(pivot + p.y) & params.opaque_ones);
  let lo = (pivot - hi) + p.y;
  return statistics_from(hi / p.w, lo / p.w, rstd_of(p.z, p.w));
}

fn variance_of(p: Part, count: f32) -> f32 {
  return p.z / count / p.w / p.w;
}

fn save(which: u32, s: Statistics) {
  mean[params.first_set + which] = vec2<f32>(s.hi, s.lo) / s.unit;
  rstd[params.first_set + which] = s.rstd;
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

struct MergedStatistics {
  part: Part,
  k: f32,
}

fn merged_statistics(which: u32, worker: Worker) -> MergedStatistics {
  let parts = parts_of(which);
  var k = partials[parts.first].w;
  let samples = min(parts.count, 16u);
  var estimate = 0.0;
  for (var first = 0u; first < 16u; first += 2u * AT_ONCE) {
    var some: array<vec4<f32>, 2u * AT_ONCE>;
    for (var i = 0u; i < 2u * AT_ONCE; i++) {
      some[i] = partials[part_at(parts, min(first + i, samples - 1u) * (parts.count / samples))];
    }
    for (var i = 0u; i < 2u * AT_ONCE; i++) {
      estimate += select(0.0, relative(some[i], k), first + i < samples);
    }
  }
  if (!out_of_range(estimate)) {
    k = bitcast<f32>(bitcast<u32>(k + estimate / f32(samples)) & params.opaque_ones);
  }
  var total = Part();
  var p = first_part(parts, worker.lane);
  total = unpack_to(part_or_none(parts, p), k);
  return MergedStatistics(reduce(total, worker), k);
}

fn part_or_none(parts: SetParts, p: SetPart) -> vec4<f32> {
  return select(vec4<f32>(), partials[min(p.at, parts.last)], p.number < parts.count);
}

fn track_statistics(which: u32, s: Statistics, p: Part) {
  var f = params.momentum;
  running_mean[which] = (1.0 - f) * running_mean[which] + f * (s.hi / s.unit);
  running_var[which] = (1.0 - f) * running_var[which] + f * (variance_of(p, params.count - CORRECTION));
}

fn follow_up(which: u32, s: Statistics, p: Part) {
  track_statistics(which, s, p);
}

fn statistics_for(worker: Worker, which: u32, begins: bool) -> Statistics {
  let found = merged_statistics(which, worker);
  let s = finish(found.part, found.k);
  if (begins && worker.lane == 0u && !worker.surplus) {
    save(which, s);
    follow_up(which, s, found.part);
  }
  return s;
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows * params.splits);
  let row = worker.id / params.splits;
  let segment = params.first_segment + row;
  let begins = worker.id % params.splits == 0u && begins_set(segment);
  let s = statistics_for(worker, set_of_segment(segment), begins);
  if (worker.surplus) { return; }
  let parameters = parameters_of(segment);
  let w = weight_at(parameters, 0u, 1u);
  let b = bias_at(parameters, 0u, 1u);
  apply_plane(worker, row * params.cols, s, parameters, w, b);
}

fn apply_plane(
  worker: Worker,
  base: u32,
  s: Statistics,
  parameters: u32,
  w_of_segment: vec4<f32>,
  b_of_segment: vec4<f32>,
) {
  let first = (worker.id % params.splits) * params.split_length;
  let end = min(first + params.split_length, (params.cols + 3u) / 4u);
  var w = w_of_segment;
  var b = b_of_segment;
  for (var q = first + worker.lane; q < end; q += LANES) {
    let col = 4u * q;
    let valid = valid_of(params.cols - col);
    store_output(place(base + col), valid, s, w, b);
  }
}
