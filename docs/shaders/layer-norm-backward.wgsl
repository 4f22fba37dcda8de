// LayerNorm backward: dx, and the partial sums of dweight and dbias, in one pass.
// describe('layerNorm', {shape: [4096, 1024], schedule: {strategy: 'registers'}, pass: 'backward'}): rows/backward_registers, f32, 64 lanes
//
// workgroups: 64 × 1 × 1
// uniform: rows 4096, cols 1024, splits 128, rows_per_split 32, block 32, opaque_ones 4294967295, count 1024, first_element 0, first_set 0
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
alias W = f32;
alias W4 = vec4<W>;
const WEIGHT_OFFSET: f32 = 0.0;
const ADD_PARTIALS: bool = false;
const WORKGROUP: u32 = 128u;
const LANES: u32 = 64u;
const ITEMS: u32 = 4u;
alias Part = vec2<f32>;
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
@group(0) @binding(2) var<storage, read_write> gradients: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> x: array<X4>;
@group(0) @binding(4) var<storage, read> dy: array<X4>;
@group(0) @binding(5) var<storage, read_write> dx: array<X4>;
@group(0) @binding(6) var<storage, read> mean: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read> rstd: array<f32>;

fn add_up(v: vec4<f32>) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}

fn parameter_at(segment: u32, col: u32) -> u32 {
  return col;
}

fn load_weight(segment: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(weight[parameter_at(segment, col) >> 2u]);
}

fn weight_at(segment: u32, col: u32, valid: u32) -> vec4<f32> {
  return load_weight(segment, col, valid) + WEIGHT_OFFSET;
}

fn normalized(centred: vec4<f32>, scale: f32) -> vec4<f32> {
  let xhat = centred * scale;
  return xhat;
}

fn affine(centred: vec4<f32>, scale: f32, w: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return centred * (scale * w) + b;
}

fn store_partials(at: u32, valid: u32, dbias_sum: vec4<f32>, dweight_sum: vec4<f32>, adds: bool) {
  for (var e = 0u; e < valid; e++) {
    let more = vec2<f32>(dbias_sum[e], dweight_sum[e]);
    if (ADD_PARTIALS || adds) {
      gradients[at + e] += more;
    } else {
      gradients[at + e] = more;
    }
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
  return vec4<f32>(x[at]);
}

fn load_dy(at: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(dy[at]);
}

fn store_dx(at: u32, valid: u32, v: vec4<f32>) {
  dx[at] = X4(v);
}

struct RowQuad {
  col: u32,
  valid: u32,
  at: u32,
}

fn row_quad(base: u32, q: u32) -> RowQuad {
  let col = 4u * q;
  return RowQuad(col, valid_of(params.cols - col), place(base + col));
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
  let r = bitcast<f32>(bits);
  if (bits == NOT_A_NUMBER) {
    let nan = bitcast<f32>(bits & params.opaque_ones);
    return Statistics(nan, nan, nan, 1.0, nan);
  }
  if (bits >= 0x0d800000u || bits == 0u) {
    return Statistics(hi, lo, r, 1.0, r);
  }
  let shift = countLeadingZeros(bits) - 8u;
  let subnormal = ((61u - shift) << 23u) | ((bits << shift) & 0x7fffffu);
  let scale = bitcast<f32>(select(bits + (60u << 23u), subnormal, bits < 0x00800000u));
  return Statistics(SMALL * hi, SMALL * lo, scale, SMALL, r);
}

fn centre(v: vec4<f32>, s: Statistics) -> vec4<f32> {
  return fma(v, vec4<f32>(s.unit), vec4<f32>(-s.hi)) - s.lo;
}

fn saved(which: u32) -> Statistics {
  var m = vec2<f32>();
  m = mean[params.first_set + which];
  return statistics_from(m.x, m.y, bitcast<u32>(rstd[params.first_set + which]));
}

fn upstream(at: u32, valid: u32, z: vec4<f32>) -> vec4<f32> {
  var g = load_dy(at, valid);
  return g;
}

fn add_dsum(at: u32, valid: u32, v: vec4<f32>) -> vec4<f32> {
  return v;
}

fn shift_at(segment: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>();
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
  let worker = worker_of(invocation, params.splits);
  let quads = (params.cols + 3u) / 4u;
  for (var first = 0u; first < params.rows_per_split; first += params.block) {
    let stop = min(params.rows_per_split, first + params.block);
    var sum_dz = array<vec4<f32>, ITEMS>();
    var sum_dz_xhat = array<vec4<f32>, ITEMS>();
    for (var nth = first; nth < stop; nth++) {
      let target_row = nth * params.splits + worker.id;
      let stores = !worker.surplus && target_row < params.rows;
      let row = min(target_row, params.rows - 1u);
      let base = row * params.cols;
      let s = saved(row);
      var xhats: array<vec4<f32>, ITEMS>;
      var gs: array<vec4<f32>, ITEMS>;
      var sum_g = vec4<f32>();
      var sum_g_xhat = vec4<f32>();
      for (var j = 0u; j < ITEMS; j++) {
        let q = worker.lane + j * LANES;
        if (q < quads) {
          let quad = row_quad(base, q);
          let centred = within(quad.valid, centre(load_x(quad.at, quad.valid), s));
          let w = weight_at(row, quad.col, quad.valid);
          let z = affine(centred, s.scale, w, shift_at(row, quad.col, quad.valid));
          let dz = within(quad.valid, upstream(quad.at, quad.valid, z));
          let xhat = centred * s.scale;
          let g = dz * w;
          xhats[j] = xhat;
          gs[j] = g;
          sum_g += g;
          sum_g_xhat += g * xhat;
          if (stores) {
            sum_dz[j] += dz;
            sum_dz_xhat[j] += dz * normalized(centred, s.scale);
          }
        }
      }
      let total = reduce(Part(add_up(sum_g), add_up(sum_g_xhat)), worker) / params.count;
      if (stores) {
        for (var j = 0u; j < ITEMS; j++) {
          let q = worker.lane + j * LANES;
          if (q < quads) {
            let quad = row_quad(base, q);
            var out = fma(-xhats[j], vec4<f32>(total.y), gs[j]) * s.unit;
            out -= total.x * s.unit;
            out *= s.scale;
            store_dx(quad.at, quad.valid, add_dsum(quad.at, quad.valid, out));
          }
        }
      }
    }
    for (var j = 0u; j < ITEMS; j++) {
      let q = worker.lane + j * LANES;
      if (!worker.surplus && q < quads) {
        let at = worker.id * params.cols + 4u * q;
        store_partials(at, valid_of(params.cols - 4u * q), sum_dz[j], sum_dz_xhat[j], first > 0u);
      }
    }
  }
}
