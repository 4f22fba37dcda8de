// LayerNorm over the channels of [N, C, H, W], forward: threads own pixels, lanes share channels.
// describe('layerNorm', {shape: [8, 96, 56, 56], axes: [1]}): kept/forward, f32, 8 lanes
//
// workgroups: 392 × 1 × 1
// uniform: rows 96, cols 3136, opaque_ones 4294967295, count 96, eps 0.000009999999747378752, first_element 0, first_set 0, segments 8
// binding 1: weight, f32 [96]
// binding 2: bias, f32 [96]
// binding 3: x, f32 [8, 96, 56, 56]
// binding 4: y, f32 [8, 96, 56, 56]
// binding 5: mean, f32 [8, 56, 56, 2]
// binding 6: rstd, f32 [8, 56, 56]
//
// Made by npm run kernels from shaders/.
const AT_ONCE: u32 = 4u;
alias X = f32;
alias X4 = vec4<X>;
alias Y = f32;
alias Y4 = vec4<Y>;
alias W = f32;
const WEIGHT_OFFSET: f32 = 0.0;
const WORKGROUP: u32 = 128u;
const LANES: u32 = 8u;
alias Sums = vec3<f32>;
alias Part = vec4<f32>;
const FOUR_QUADS: bool = false;
struct Params {
  rows: u32,
  cols: u32,
  opaque_ones: u32,
  count: f32,
  eps: f32,
  first_element: u32,
  first_set: u32,
  segments: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<W>;
@group(0) @binding(2) var<storage, read> bias: array<W>;
@group(0) @binding(3) var<storage, read> x: array<X4>;
@group(0) @binding(4) var<storage, read_write> y: array<Y4>;
@group(0) @binding(5) var<storage, read_write> mean: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> rstd: array<f32>;

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

fn load_weight(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(w_element(weight[w_entry(start)], start));
}

fn load_bias(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(w_element(bias[w_entry(start)], start));
}

fn weight_at(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return load_weight(start, col, valid) + WEIGHT_OFFSET;
}

fn bias_at(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return load_bias(start, col, valid);
}

struct Columns {
  n: f32,
  mean: vec4<f32>,
  m2: vec4<f32>,
}

fn out_of_range_each(v: vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) >= vec4<u32>(0x7f000000u);
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

fn store_y(at: u32, valid: u32, v: vec4<f32>) {
  y[at] = rounded_y(v);
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

fn input(at: u32, valid: u32) -> vec4<f32> {
  return load_x(at, valid);
}

fn stored_input(at: u32, valid: u32) -> vec4<f32> {
  return load_x(at, valid);
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

struct ColumnStatistics {
  hi: vec4<f32>,
  lo: vec4<f32>,
  scale: vec4<f32>,
  unit: f32,
}

fn quad_statistics(hi: vec4<f32>, lo: vec4<f32>, bits: vec4<u32>) -> ColumnStatistics {
  var s: ColumnStatistics;
  let plain = all((bits >= vec4<u32>(0x0d800000u)) | (bits == vec4<u32>()));
  let shift = countLeadingZeros(bits) - 8u;
  let subnormal = ((61u - shift) << vec4<u32>(23u)) | ((bits << shift) & vec4<u32>(0x7fffffu));
  var larger = select(bits + (60u << 23u), subnormal, bits < vec4<u32>(0x00800000u));
  larger = select(larger, vec4<u32>(), bits == vec4<u32>());
  s.scale = bitcast<vec4<f32>>(select(larger, bits, plain));
  s.unit = select(SMALL, 1.0, plain);
  s.hi = hi * s.unit;
  s.lo = lo * s.unit;
  let largest = select(0x53800000u, 0xffffffffu, plain);
  let invalid = (bits == vec4<u32>(NOT_A_NUMBER)) | (bits > vec4<u32>(largest));
  let nan = bitcast<vec4<f32>>(vec4<u32>(NOT_A_NUMBER) & vec4<u32>(params.opaque_ones));
  s.hi = select(s.hi, nan, invalid);
  s.scale = select(s.scale, nan, invalid);
  return s;
}

fn centre_columns(v: vec4<f32>, s: ColumnStatistics) -> vec4<f32> {
  return fma(v, vec4<f32>(s.unit), -s.hi) - s.lo;
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

struct Kept {
  start: u32,
  which: u32,
  valid: u32,
}

fn kept_quads() -> u32 {
  return params.segments * ((params.cols + 3u) / 4u);
}

fn kept_of(quad: u32) -> Kept {
  let quads = (params.cols + 3u) / 4u;
  let segment = quad / quads;
  let col = 4u * (quad - segment * quads);
  var first = segment * params.rows;
  return Kept(first * params.cols + col, segment * params.cols + col, valid_of(params.cols - col));
}

fn place_in(c: Kept, row: u32) -> u32 {
  return place(c.start + row * params.cols);
}

fn place_after(c: Kept, at: u32, row: u32) -> u32 {
  return at + (place(LANES * params.cols) - place(0u));
}

fn kept_worker(number: u32, index: u32, count: u32) -> Worker {
  let column = index % (WORKGROUP / LANES);
  let lane = index / (WORKGROUP / LANES);
  let id = number * (WORKGROUP / LANES) + column;
  return Worker(min(id, count - 1u), lane, column * LANES + lane, id >= count);
}

fn affine_columns(centred: vec4<f32>, s: ColumnStatistics, w: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return centred * (s.scale * w) + b;
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
  let count = kept_quads();
  let threads = select(count, (count + 15u) / 16u * 4u, FOUR_QUADS);
  let worker = kept_worker(workgroup_number(invocation), invocation.index, threads);
  let quad = select(worker.id, worker.id / 4u * 16u + worker.id % 4u, FOUR_QUADS);
  let c0 = kept_of(quad);
  let s0 = statistics_of(c0, worker);
  var c1 = c0;
  var c2 = c0;
  var c3 = c0;
  var s1 = s0;
  var s2 = s0;
  var s3 = s0;
  if (worker.surplus) { return; }
  var row = worker.lane;
  var at0 = place_in(c0, row);
  var at1 = place_in(c1, row);
  var at2 = place_in(c2, row);
  var at3 = place_in(c3, row);
  for (; row + (AT_ONCE - 1u) * LANES < params.rows; row += AT_ONCE * LANES) {
    var v: array<vec4<f32>, AT_ONCE>;
    for (var i = 0u; i < AT_ONCE; i++) {
      v[i] = stored_input(place_in(c0, row + i * LANES), c0.valid);
    }
    for (var i = 0u; i < AT_ONCE; i++) {
      let at = place_in(c0, row + i * LANES);
      let w = weight_at(row + i * LANES, 0u, 1u);
      let b = bias_at(row + i * LANES, 0u, 1u);
      store_y(at, c0.valid, epilogue(at, c0.valid, affine_columns(centre_columns(v[i], s0), s0, w, b)));
    }
  }
  at0 = place_in(c0, row);
  for (; row < params.rows; row += LANES) {
    let w = weight_at(row, 0u, 1u);
    let b = bias_at(row, 0u, 1u);
    store_columns(at0, c0.valid, s0, w, b);
    at0 = place_after(c0, at0, row + LANES);
  }
}

fn store_columns(at: u32, valid: u32, s: ColumnStatistics, w: vec4<f32>, b: vec4<f32>) {
  let out_y = &y[at];
  let centred = centre_columns(stored_input(at, valid), s);
  *out_y = rounded_y(epilogue(at, valid, affine_columns(centred, s, w, b)));
}

fn statistics_of(c: Kept, worker: Worker) -> ColumnStatistics {
  let k = pivots_of(c);
  let parts = parts_of_columns(c, worker, k);
  let s0 = finish(reduce(parts[0], worker), k.x);
  let s1 = finish(reduce(parts[1], worker), k.y);
  let s2 = finish(reduce(parts[2], worker), k.z);
  let s3 = finish(reduce(parts[3], worker), k.w);
  if (!worker.surplus) {
    save_for_backward(worker.lane, c.which, s0);
    if (c.valid > 1u) {
      save_for_backward(worker.lane, c.which + 1u, s1);
    }
    if (c.valid > 2u) {
      save_for_backward(worker.lane, c.which + 2u, s2);
    }
    if (c.valid > 3u) {
      save_for_backward(worker.lane, c.which + 3u, s3);
    }
  }
  let units = vec4<f32>(s0.unit, s1.unit, s2.unit, s3.unit);
  return quad_statistics(
    vec4<f32>(s0.hi, s1.hi, s2.hi, s3.hi) / units,
    vec4<f32>(s0.lo, s1.lo, s2.lo, s3.lo) / units,
    bitcast<vec4<u32>>(vec4<f32>(s0.rstd, s1.rstd, s2.rstd, s3.rstd)),
  );
}

fn pivots_of(c: Kept) -> vec4<f32> {
  let a = input(place_in(c, 0u), c.valid);
  let b = input(place_in(c, params.rows / 2u), c.valid);
  let d = input(place_in(c, params.rows - 1u), c.valid);
  return max(min(a, b), min(max(a, b), d));
}

fn parts_of_columns(c: Kept, worker: Worker, k: vec4<f32>) -> array<Part, 4> {
  var wanted = vec4<f32>(1.0);
  var scales = vec4<f32>(1.0);
  var total = Columns();
  for (var attempt = 0u; attempt < 3u; attempt++) {
    let scale = select(select(UP, DOWN, attempt == 1u), 1.0, attempt == 0u);
    let asked = wanted == vec4<f32>(scale);
    if (any(asked)) {
      let found = sums_of_columns(c, worker, k * scale, scale);
      let beyond = out_of_range_each(found.mean) | out_of_range_each(found.m2);
      let right = asked & !(beyond & vec4<bool>(scale == UP));
      total = Columns(found.n, select(total.mean, found.mean, right), select(total.m2, found.m2, right));
      scales = select(scales, vec4<f32>(scale), right);
      if (attempt == 0u) {
        let little = (found.m2 < vec4<f32>(0x1p-70f)) & vec4<bool>(params.eps < 0x1p-90f);
        wanted = select(select(vec4<f32>(1.0), vec4<f32>(UP), little), vec4<f32>(DOWN), beyond);
      }
    }
  }
  return array<Part, 4>(
    part_of(total.n, total.mean.x, total.m2.x, scales.x),
    part_of(total.n, total.mean.y, total.m2.y, scales.y),
    part_of(total.n, total.mean.z, total.m2.z, scales.z),
    part_of(total.n, total.mean.w, total.m2.w, scales.w),
  );
}

fn part_of(n: f32, m: f32, m2: f32, scale: f32) -> Part {
  return Part(n, m, m2, scale);
}

fn sums_of_columns(c: Kept, worker: Worker, k: vec4<f32>, scale: f32) -> Columns {
  let end = select(params.rows, 0u, worker.surplus);
  var pivot = k;
  return chunk_of_columns(c, worker.lane, end, pivot, scale);
}

fn chunk_of_columns(c: Kept, first: u32, end: u32, pivot: vec4<f32>, scale: f32) -> Columns {
  var s = vec4<f32>();
  var q = vec4<f32>();
  var row = first;
  for (; row + (AT_ONCE - 1u) * LANES < end; row += AT_ONCE * LANES) {
    var v: array<vec4<f32>, AT_ONCE>;
    for (var i = 0u; i < AT_ONCE; i++) {
      v[i] = input_of(c, place_in(c, row + i * LANES), scale);
    }
    for (var i = 0u; i < AT_ONCE; i++) {
      let d = fma(v[i], vec4<f32>(scale), -pivot);
      s += d;
      q += d * d;
    }
  }
  var at = place_in(c, row);
  for (; row < end; row += LANES) {
    let d = fma(input_of(c, at, scale), vec4<f32>(scale), -pivot);
    s += d;
    q += d * d;
    at = place_after(c, at, row + LANES);
  }
  let n = f32((end - first + LANES - 1u) / LANES);
  let m = s / n;
  return Columns(n, m, select(max(q - s * m, vec4<f32>()), q, out_of_range_each(q)));
}

fn input_of(c: Kept, at: u32, scale: f32) -> vec4<f32> {
  return load_x(at, c.valid);
}
