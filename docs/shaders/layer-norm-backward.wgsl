// LayerNorm backward: dx, and the partial sums of dweight and dbias, in one pass.
// describe('layerNorm', {shape: [4096, 1024], schedule: {strategy: 'registers'}, pass: 'backward'}): rows/backward_registers, f32, 64 lanes
//
// workgroups: 128 × 1 × 1
// uniform: rows 4096, cols 1024, splits 128, rows_per_split 16, block 16, opaque_ones 4294967295, count 1024, first_element 0, first_set 0
// binding 1: weight, f32 [1024]
// binding 2: gradients, scratch, 1048576 bytes
// binding 3: x, f32 [4096, 1024]
// binding 4: dy, f32 [4096, 1024]
// binding 5: dx, f32 [4096, 1024]
// binding 6: mean, f32 [4096, 2]
// binding 7: rstd, f32 [4096]
//
// Made by npm run kernels from shaders/.
alias X = f32;
alias X4 = vec4<X>;
alias Y = f32;
alias Y4 = vec4<Y>;
alias W = f32;
alias W4 = vec4<W>;
const GROUPED: bool = false;
const HAS_WEIGHT: bool = true;
const HAS_BIAS: bool = false;
const WEIGHT_OFFSET: f32 = 0.0;
const ADD_PARTIALS: bool = false;
const WORKGROUP: u32 = 128u;
const LANES: u32 = 64u;
const ITEMS: u32 = 4u;
alias Part = vec2<f32>;
const IN_BLOCKS: bool = false;
struct Params {
  rows: u32,
  cols: u32,
  splits: u32,
  rows_per_split: u32,
  block: u32,
  opaque_ones: u32,
  count: f32,
  first_element: u32,
  first_set: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<W4>;
@group(0) @binding(2) var<storage, read_write> gradient_pairs: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> x: array<X4>;
@group(0) @binding(4) var<storage, read> dy: array<Y4>;
@group(0) @binding(5) var<storage, read_write> dx: array<X4>;
@group(0) @binding(6) var<storage, read> mean: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read> rstd: array<f32>;

fn add_up(v: vec4<f32>) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}

fn x_quad(entry: X4) -> vec4<f32> {
  return vec4<f32>(entry);
}

fn y_quad(entry: Y4) -> vec4<f32> {
  return vec4<f32>(entry);
}

fn w_quad(entry: W4) -> vec4<f32> {
  return vec4<f32>(entry);
}

fn rounded_x(v: vec4<f32>) -> X4 {
  return X4(v);
}

fn first_of_set(segment: u32) -> u32 {
  return 0u;
}

struct Walk {
  first: u32,
  step: u32,
  end: u32,
}

fn walk_of_group(walker: u32, walkers: u32) -> Walk {
  return Walk(walker, walkers, params.rows);
}

fn first_parameter(segment: u32) -> u32 {
  return first_of_set(segment);
}

fn load_weight(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return w_quad(weight[(start + col) >> 2u]);
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

fn normalized(centred: vec4<f32>, scale: f32) -> vec4<f32> {
  let xhat = centred * scale;
  return xhat;
}

fn affine(centred: vec4<f32>, scale: f32, w: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return centred * (scale * w) + b;
}

fn store_partials(at: u32, valid: u32, dbias_sum: vec4<f32>, dweight_sum: vec4<f32>, adds: bool) {
  var low = vec4<f32>(dbias_sum.x, dweight_sum.x, dbias_sum.y, dweight_sum.y);
  var high = vec4<f32>(dbias_sum.z, dweight_sum.z, dbias_sum.w, dweight_sum.w);
  if (ADD_PARTIALS || adds) {
    low += gradient_pairs[at / 2u];
    high += gradient_pairs[at / 2u + 1u];
  }
  gradient_pairs[at / 2u] = low;
  gradient_pairs[at / 2u + 1u] = high;
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

var<workgroup> other_rows: array<vec4<f32>, WORKGROUP / 2u * ITEMS>;

fn add_row_groups(own: ptr<function, array<vec4<f32>, ITEMS>>, index: u32) {
  for (var half = WORKGROUP / 2u; half >= LANES; half /= 2u) {
    if (index >= half && index < 2u * half) {
      for (var j = 0u; j < ITEMS; j++) {
        other_rows[j * (WORKGROUP / 2u) + index - half] = (*own)[j];
      }
    }
    workgroupBarrier();
    if (index < half) {
      for (var j = 0u; j < ITEMS; j++) {
        (*own)[j] += other_rows[j * (WORKGROUP / 2u) + index];
      }
    }
    workgroupBarrier();
  }
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

fn load_dy(at: u32, valid: u32) -> vec4<f32> {
  return y_quad(dy[at]);
}

fn store_dx(at: u32, valid: u32, v: vec4<f32>) {
  dx[at] = rounded_x(v);
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

fn in_row(quad: RowQuad, v: vec4<f32>) -> vec4<f32> {
  return within(quad.valid, v);
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
  var scale = bitcast<f32>(select(small, bits, plain) & params.opaque_ones);
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

struct RowSums {
  mean_g: f32,
  mean_g_xhat: f32,
  s: Statistics,
}

fn gradient_of_x(centred: vec4<f32>, g: vec4<f32>, means: RowSums) -> vec4<f32> {
  var slope = vec4<f32>(means.s.scale * means.mean_g_xhat);
  var out = fma(-centred, slope, g) * means.s.unit;
  out -= means.mean_g * means.s.unit;
  return out * means.s.scale;
}

fn times_slope(v: vec4<f32>, z: vec4<f32>) -> vec4<f32> {
  return v;
}

fn upstream_of(dy_quad: vec4<f32>, at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  var residual_quad = vec4<f32>();
  let dz = upstream_from(dy_quad, residual_quad, z);
  return dz;
}

fn upstream_from(dy_quad: vec4<f32>, residual_quad: vec4<f32>, z: vec4<f32>) -> vec4<f32> {
  return times_slope(dy_quad, z);
}

fn add_dsum(at: u32, valid: u32, v: vec4<f32>) -> vec4<f32> {
  return v;
}

fn shift_at(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>();
}

fn merge(a: Part, b: Part) -> Part {
  return a + b;
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
  let row_groups = WORKGROUP / LANES;
  let walkers = params.splits * row_groups;
  let worker = worker_of(invocation, walkers);
  let grouped = worker.id % row_groups * params.splits + worker.id / row_groups;
  let dealt = walk_of_group(select(worker.id, grouped, GROUPED), walkers);
  let parameters = parameters_of(min(dealt.first, dealt.end - 1u));
  for (var first = 0u; first < params.rows_per_split; first += params.block) {
    let stop = min(params.rows_per_split, first + params.block);
    var sum_dz = array<vec4<f32>, ITEMS>();
    var sum_dz_xhat = array<vec4<f32>, ITEMS>();
    for (var nth = first; nth < stop; nth++) {
      let target_row = nth * dealt.step + dealt.first;
      let stores = !worker.surplus && target_row < dealt.end;
      let row = min(target_row, params.rows - 1u);
      let base = row * params.cols;
      var xs: array<vec4<f32>, ITEMS>;
      var gs: array<vec4<f32>, ITEMS>;
      var weights: array<vec4<f32>, AHEAD>;
      var shifts: array<vec4<f32>, AHEAD>;
      for (var j = 0u; j < ITEMS; j++) {
        let quad = row_quad(base, worker.lane, j);
        xs[j] = load_x(quad.at, quad.valid);
        gs[j] = load_dy(quad.at, quad.valid);
        if (j < AHEAD) {
          weights[j] = weight_at(parameters, quad.col, quad.valid);
          shifts[j] = shift_at(parameters, quad.col, quad.valid);
        }
      }
      let s = saved(row);
      var sum_g = vec4<f32>();
      var sum_g_xhat = vec4<f32>();
      for (var j = 0u; j < ITEMS; j++) {
        let quad = row_quad(base, worker.lane, j);
        let centred = in_row(quad, centre(xs[j], s));
        let z = affine(centred, s.scale, weights[j % AHEAD], shifts[j % AHEAD]);
        let dz = in_row(quad, upstream_of(gs[j], quad.at, quad.valid, z));
        let g = dz * weights[j % AHEAD];
        xs[j] = centred;
        gs[j] = g;
        sum_g += g;
        sum_g_xhat += g * (centred * s.scale);
        sum_dz[j] += select(vec4<f32>(), dz, stores);
        sum_dz_xhat[j] += select(vec4<f32>(), dz * normalized(centred, s.scale), stores);
        if (j + AHEAD < ITEMS) {
          let later = row_quad(base, worker.lane, j + AHEAD);
          weights[j % AHEAD] = weight_at(parameters, later.col, later.valid);
          shifts[j % AHEAD] = shift_at(parameters, later.col, later.valid);
        }
      }
      let total = reduce(Part(add_up(sum_g), add_up(sum_g_xhat)), worker) / params.count;
      let means = RowSums(total.x, total.y, s);
      for (var j = 0u; j < ITEMS; j++) {
        let quad = row_quad(base, worker.lane, j);
        gs[j] = add_dsum(quad.at, quad.valid, gradient_of_x(xs[j], gs[j], means));
      }
      if (stores) {
        for (var j = 0u; j < ITEMS; j++) {
          let quad = row_quad(base, worker.lane, j);
          if (!quad.beyond) {
            store_dx(quad.at, quad.valid, gs[j]);
          }
        }
      }
    }
    add_row_groups(&sum_dz, worker.index);
    add_row_groups(&sum_dz_xhat, worker.index);
    if (!worker.surplus && worker.index < LANES) {
      let split = worker.id / row_groups;
      for (var j = 0u; j < ITEMS; j++) {
        let quad = row_quad(0u, worker.lane, j);
        if (!quad.beyond) {
          store_partials(split * params.cols + quad.col, quad.valid, sum_dz[j], sum_dz_xhat[j], IN_BLOCKS && first > 0u);
        }
      }
    }
  }
}
