// LayerNorm backward: dweight and dbias from their partial sums.
// describe('layerNorm', {shape: [4096, 1024], schedule: {strategy: 'registers'}, pass: 'backward'}): merge/gradients, f32, 32 lanes
//
// workgroups: 512 × 1 × 1
// uniform: channels 1024, inner 1, splits 125, block 2, first_col 0
// binding 1: gradients, scratch, 1024000 bytes
// binding 2: dweight, f32 [1024]
// binding 3: dbias, f32 [1024]
//
// Made by npm run kernels from shaders/.
alias W = f32;
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
@group(0) @binding(1) var<storage, read> partials: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> dweight: array<W>;
@group(0) @binding(3) var<storage, read_write> dbias: array<W>;

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

fn sum_of_splits(channel: u32, lane: u32, index: u32) -> Part {
  var total = Part();
  var split = lane;
  while (split < params.splits) {
    let stop = min(params.splits, split + params.block * LANES);
    var block = Part();
    for (; split < stop; split += LANES) {
      let first = (split * params.channels + channel) * params.inner;
      for (var i = 0u; i < params.inner; i++) {
        block += partials[first + i];
      }
    }
    total += block;
  }
  return reduce(total, lane, index);
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let lane = lane_id(invocation);
  let worker = worker_id(invocation);
  let channel = min(worker, params.channels - 1u);
  var total = sum_of_splits(channel, lane, invocation.index);
  if (lane > 0u || worker >= params.channels) {
    return;
  }
  let at = params.first_col + channel;
  dbias[at] = W(total.x);
  dweight[at] = W(total.y);
}
