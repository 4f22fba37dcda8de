// BatchNorm forward in training, channels last, second of three: mean, rstd and the running statistics.
// describe('batchNorm', {shape: [32, 56, 56, 64], layout: 'channels-last', training: true, runningMean: true, runningVar: true}): merge/statistics, 256 lanes
//
// workgroups: 64 × 1 × 1
// uniform: samples 1, channels 64, groups 64, set_splits 2048, block 3, opaque_ones 4294967295, count 100352, eps 0.000009999999747378752, momentum 0.10000000149011612, first_set 0
// binding 1: mean, f32 [64, 2]
// binding 2: rstd, f32 [64]
// binding 3: partials, scratch, 2097152 bytes
// binding 4: running_mean, f32 [64]
// binding 5: running_var, f32 [64]
//
// Made by npm run kernels from shaders/.
const AT_ONCE: u32 = 4u;
const WORKGROUP: u32 = 256u;
const LANES: u32 = 256u;
alias Sums = vec3<f32>;
alias Part = vec4<f32>;
const CORRECTION: f32 = 1.0;
struct Params {
  samples: u32,
  channels: u32,
  groups: u32,
  set_splits: u32,
  block: u32,
  opaque_ones: u32,
  count: f32,
  eps: f32,
  momentum: f32,
  first_set: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> mean: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(3) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> running_var: array<f32>;

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

fn next_part(parts: SetParts, p: SetPart) -> SetPart {
  let at = p.at + parts.splits * params.channels + parts.columns;
  let column = p.column + parts.columns;
  let over = column >= parts.width;
  return SetPart(
    p.number + LANES,
    select(at, at + (params.channels - parts.width), over),
    select(column, column - parts.width, over),
  );
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
  while (p.number < parts.count) {
    let stop = min(parts.count, p.number + params.block * LANES);
    var block = Part();
    while (p.number < stop) {
      let second = next_part(parts, p);
      let third = next_part(parts, second);
      let fourth = next_part(parts, third);
      let v0 = part_or_none(parts, p);
      let v1 = part_or_none(parts, second);
      let v2 = part_or_none(parts, third);
      let v3 = part_or_none(parts, fourth);
      block = merge(block, unpack_to(v0, k));
      block = merge(block, unpack_to(v1, k));
      block = merge(block, unpack_to(v2, k));
      block = merge(block, unpack_to(v3, k));
      p = next_part(parts, fourth);
    }
    total = merge(total, block);
  }
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

fn store_outcome(which: u32, s: Statistics, p: Part) {
  save(which, s);
  follow_up(which, s, p);
}

fn follow_up(which: u32, s: Statistics, p: Part) {
  track_statistics(which, s, p);
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.samples * params.groups);
  let found = merged_statistics(worker.id, worker);
  if (worker.lane == 0u && !worker.surplus) {
    store_outcome(worker.id, finish(found.part, found.k), found.part);
  }
}
