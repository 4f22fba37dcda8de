// LayerNorm backward: dx, and the partial sums of dweight and dbias, in one pass.
// describe('layerNorm', {shape: [4096, 1024], schedule: {strategy: 'registers'}, pass: 'backward'}): rows/backward_registers, f32, 64 lanes
//
// workgroups: 63 × 1 × 1
// uniform: rows 4096, cols 1024, splits 125, rows_per_split 33, block 33, opaque_ones 4294967295, count 1024, first_element 0, first_set 0
// binding 1: mean, f32 [4096, 2]
// binding 2: rstd, f32 [4096]
// binding 3: weight, f32 [1024]
// binding 4: x, f32 [4096, 1024]
// binding 5: dy, f32 [4096, 1024]
// binding 6: dx, f32 [4096, 1024]
// binding 7: gradients, scratch, 1024000 bytes
//
// Made by npm run kernels from shaders/.
alias X = f32;
alias X4 = vec4<X>;
alias W = f32;
alias W4 = vec4<W>;
const WEIGHT_OFFSET: f32 = 0.0;
const WORKGROUP: u32 = 128u;
const LANES: u32 = 64u;
const ITEMS: u32 = 4u;
alias Part = vec2<f32>;
const ADD_PARTIALS: bool = false;
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
@group(0) @binding(1) var<storage, read> mean: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> rstd: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<W4>;
@group(0) @binding(4) var<storage, read> x: array<X4>;
@group(0) @binding(5) var<storage, read> dy: array<X4>;
@group(0) @binding(6) var<storage, read_write> dx: array<X4>;
@group(0) @binding(7) var<storage, read_write> gradients: array<vec2<f32>>;

fn add_up(v: vec4<f32>) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}

fn normalized(centred: vec4<f32>, scale: f32) -> vec4<f32> {
  let xhat = centred * scale;
  return xhat;
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

fn weight_at(row: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(weight[col >> 2u]) + WEIGHT_OFFSET;
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

fn worker_id(invocation: Invocation) -> u32 {
  return workgroup_number(invocation) * (WORKGROUP / LANES) + invocation.index / LANES;
}

fn lane_id(invocation: Invocation) -> u32 {
  return invocation.index % LANES;
}

fn merge(a: Part, b: Part) -> Part {
  return a + b;
}

var<workgroup> scratch: array<Part, WORKGROUP>;

fn reduce(part: Part, lane: u32, index: u32) -> Part {
  scratch[index] = part;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) {
      scratch[index] = merge(scratch[index], scratch[index + half]);
    }
    workgroupBarrier();
  }
  let total = scratch[index - lane];
  workgroupBarrier();
  return total;
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let lane = lane_id(invocation);
  let group = worker_id(invocation);
  let quads = (params.cols + 3u) / 4u;
  for (var first = 0u; first < params.rows_per_split; first += params.block) {
    let stop = min(params.rows_per_split, first + params.block);
    var sum_dz = array<vec4<f32>, ITEMS>();
    var sum_dz_xhat = array<vec4<f32>, ITEMS>();
    for (var nth = first; nth < stop; nth++) {
      let target_row = nth * params.splits + group;
      let in_range = group < params.splits && target_row < params.rows;
      let row = min(target_row, params.rows - 1u);
      let base = row * params.cols;
      let s = saved(row);
      var xhats: array<vec4<f32>, ITEMS>;
      var gs: array<vec4<f32>, ITEMS>;
      var sum_g = vec4<f32>();
      var sum_g_xhat = vec4<f32>();
      for (var j = 0u; j < ITEMS; j++) {
        let q = lane + j * LANES;
        if (q < quads) {
          let col = 4u * q;
          let valid = valid_of(params.cols - col);
          let at = place(base + col);
          let centred = within(valid, centre(load_x(at, valid), s));
          let w = weight_at(row, col, valid);
          let z = affine(centred, s.scale, w, shift_at(row, col, valid));
          let dz = within(valid, upstream(at, valid, z));
          let xhat = centred * s.scale;
          let g = dz * w;
          xhats[j] = xhat;
          gs[j] = g;
          sum_g += g;
          sum_g_xhat += g * xhat;
          if (in_range) {
            sum_dz[j] += dz;
            sum_dz_xhat[j] += dz * normalized(centred, s.scale);
          }
        }
      }
      let total = reduce(Part(add_up(sum_g), add_up(sum_g_xhat)), lane, invocation.index) / params.count;
      if (in_range) {
        for (var j = 0u; j < ITEMS; j++) {
          let q = lane + j * LANES;
          if (q < quads) {
            let col = 4u * q;
            let valid = valid_of(params.cols - col);
            var out = fma(-xhats[j], vec4<f32>(total.y), gs[j]) * s.unit;
            out -= total.x * s.unit;
            out *= s.scale;
            let at = place(base + col);
            store_dx(at, valid, add_dsum(at, valid, out));
          }
        }
      }
    }
    for (var j = 0u; j < ITEMS; j++) {
      let q = lane + j * LANES;
      if (group < params.splits && q < quads) {
        let valid = valid_of(params.cols - 4u * q);
        let at = group * params.cols + 4u * q;
        for (var e = 0u; e < valid; e++) {
          let more = vec2<f32>(sum_dz[j][e], sum_dz_xhat[j][e]);
          if (ADD_PARTIALS || first > 0u) {
            gradients[at + e] += more;
          } else {
            gradients[at + e] = more;
          }
        }
      }
    }
  }
}
