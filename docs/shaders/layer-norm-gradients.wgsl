// LayerNorm backward: dweight and dbias from their partial sums.
// describe('layerNorm', {shape: [4096, 1024], schedule: {strategy: 'registers'}, pass: 'backward'}): merge/gradients, f32, 32 lanes
//
// workgroups: 512 × 1 × 1
// uniform: channels 1024, inner 1, splits 128, block 2, first_col 0
// binding 1: dweight, f32 [1024]
// binding 2: dbias, f32 [1024]
// binding 3: gradients, scratch, 1048576 bytes
//
// Made by npm run kernels from shaders/.
alias W = f32;
alias SHARED_W = W;
const AT_ONCE: u32 = 4u;
const WORKGROUP: u32 = 64u;
const LANES: u32 = 32u;
alias Part = vec2<f32>;
struct Params {
  channels: u32,
  inner: u32,
  splits: u32,
  block: u32,
  first_col: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> dweight: array<SHARED_W>;
@group(0) @binding(2) var<storage, read_write> dbias: array<SHARED_W>;
@group(0) @binding(3) var<storage, read> partials: array<vec2<f32>>;

fn store_dbias(i: u32, v: f32) {
  dbias[i] = W(v);
}

fn store_dweight(i: u32, v: f32) {
  dweight[i] = W(v);
}

fn store_gradients(at: u32, bias_sum: f32, weight_sum: f32) {
  var b = bias_sum;
  store_dbias(at, b);
  var w = weight_sum;
  store_dweight(at, w);
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

fn sum_of_splits(worker: Worker) -> Part {
  var total = Part();
  var split = worker.lane;
  while (split < params.splits) {
    let stop = min(params.splits, split + params.block * LANES);
    var block = Part();
    for (; split < stop; split += AT_ONCE * LANES) {
      for (var i = 0u; i < params.inner; i++) {
        var some: array<Part, AT_ONCE>;
        for (var n = 0u; n < AT_ONCE; n++) {
          let other = split + n * LANES;
          let at = (min(other, params.splits - 1u) * params.channels + worker.id) * params.inner + i;
          some[n] = select(Part(), partials[at], other < params.splits);
        }
        for (var n = 0u; n < AT_ONCE; n++) {
          block += some[n];
        }
      }
    }
    total += block;
  }
  return reduce(total, worker);
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.channels);
  let total = sum_of_splits(worker);
  if (worker.lane > 0u || worker.surplus) { return; }
  store_gradients(params.first_col + worker.id, total.x, total.y);
}
