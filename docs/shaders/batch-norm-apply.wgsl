// BatchNorm forward in training, last of three: y.
// describe('batchNorm', {shape: [32, 64, 56, 56], training: true, runningMean: true, runningVar: true}): rows/apply, f32, 32 lanes
//
// workgroups: 512 × 1 × 1
// uniform: positions 32, channels 64, groups 64, rows 2048, cols 3136, splits 1, split_length 784, opaque_ones 4294967295, first_element 0, first_set 0, first_segment 0
// binding 1: weight, f32 [64]
// binding 2: bias, f32 [64]
// binding 3: mean, f32 [64, 2]
// binding 4: rstd, f32 [64]
// binding 5: x, f32 [32, 64, 56, 56]
// binding 6: y, f32 [32, 64, 56, 56]
//
// Made by npm run kernels from shaders/.
alias X = f32;
alias X4 = vec4<X>;
alias W = f32;
const HAS_WEIGHT: bool = true;
const HAS_BIAS: bool = true;
const WEIGHT_OFFSET: f32 = 0.0;
const WORKGROUP: u32 = 128u;
const LANES: u32 = 32u;
struct Params {
  positions: u32,
  channels: u32,
  groups: u32,
  rows: u32,
  cols: u32,
  splits: u32,
  split_length: u32,
  opaque_ones: u32,
  first_element: u32,
  first_set: u32,
  first_segment: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<W>;
@group(0) @binding(2) var<storage, read> bias: array<W>;
@group(0) @binding(3) var<storage, read> mean: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> rstd: array<f32>;
@group(0) @binding(5) var<storage, read> x: array<X4>;
@group(0) @binding(6) var<storage, read_write> y: array<X4>;

fn first_parameter(segment: u32) -> u32 {
  return segment % params.channels;
}

fn load_weight(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(f32(weight[start]));
}

fn load_bias(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(f32(bias[start]));
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

const SMALL = 0x1p-60f;

const NOT_A_NUMBER = 0x7fc00000u;

fn statistics_from(hi: f32, lo: f32, bits: u32) -> Statistics {
  let r = bitcast<f32>(bits & params.opaque_ones);
  let plain = bits >= 0x0d800000u || bits == 0u;
  let shift = countLeadingZeros(bits) - 8u;
  let subnormal = ((61u - shift) << 23u) | ((bits << shift) & 0x7fffffu);
  let small = select(bits + (60u << 23u), subnormal, bits < 0x00800000u);
  let scale = bitcast<f32>(select(small, bits, plain) & params.opaque_ones);
  let unit = select(SMALL, 1.0, plain);
  let means = select(vec2<f32>(hi, lo), vec2<f32>(r), bits == NOT_A_NUMBER);
  let scaled = select(means * SMALL, means, plain);
  return Statistics(scaled.x, scaled.y, scale, unit, r);
}

fn centre(v: vec4<f32>, s: Statistics) -> vec4<f32> {
  return fma(v, vec4<f32>(s.unit), vec4<f32>(-s.hi)) - s.lo;
}

fn saved(which: u32) -> Statistics {
  var m = vec2<f32>();
  m = mean[params.first_set + which];
  return statistics_from(m.x, m.y, bitcast<u32>(rstd[params.first_set + which]));
}

fn place(i: u32) -> u32 {
  return (i + params.first_element) >> 2u;
}

fn valid_of(remaining: u32) -> u32 {
  return 4u;
}

fn load_x(at: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(x[at]);
}

fn epilogue(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  return finished(z, added_residual(at, valid));
}

fn added_residual(at: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>();
}

fn finished(z: vec4<f32>, residual_quad: vec4<f32>) -> vec4<f32> {
  var out = z;
  return out;
}

fn stored_input(at: u32, valid: u32) -> vec4<f32> {
  return load_x(at, valid);
}

fn store_output(at: u32, valid: u32, s: Statistics, w: vec4<f32>, b: vec4<f32>) {
  let out_y = &y[at];
  *out_y = X4(epilogue(at, valid, affine(centre(stored_input(at, valid), s), s.scale, w, b)));
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

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows * params.splits);
  if (worker.surplus) { return; }
  let base = worker.id / params.splits * params.cols;
  let segment = params.first_segment + worker.id / params.splits;
  let first = (worker.id % params.splits) * params.split_length;
  let end = min(first + params.split_length, (params.cols + 3u) / 4u);
  let s = saved(set_of_segment(segment));
  let parameters = parameters_of(segment);
  var w = weight_at(parameters, 0u, 1u);
  var b = bias_at(parameters, 0u, 1u);
  for (var q = first + worker.lane; q < end; q += LANES) {
    let col = 4u * q;
    let valid = valid_of(params.cols - col);
    store_output(place(base + col), valid, s, w, b);
  }
}
