// rows/statistics
// needs: params reduce scan segments statistics worker
// Partial statistics of segments that are divided into splits: rows, or the channels of a sample where a set is not contiguous
// or weight belongs to channels (interfaces/segments); merge/statistics.wgsl makes mean and rstd of them.
//
// Mapping: LANES lanes per (segment, split); split s holds quads s·split_length, … of its segment, and of the same channel's segments at the
// next positions where `planes_per_partial` of them share a partial.
// Bindings: x, residual, sum [rows, cols]; partials as interfaces/segments lays them out (n, mean − k, M2, k), k common to a segment.
// Numerics: interfaces/statistics/moments.wgsl. Determinism: one writer per split.
var<storage, read_write> partials: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let lane = lane_id(invocation);
  let worker = worker_id(invocation);
  let pair = min(worker, params.rows * params.splits - 1u);
  let base = base_of_segment(pair / params.splits);
  // Nothing for a surplus worker: a sum that is stored on the way has one writer.
  let quads = select((params.cols + 3u) / 4u, 0u, pair < worker);
  let first = (pair % params.splits) * params.split_length;

  let k = segment_pivot(base);
  var total = Part();
  for (var plane = 0u; plane < planes_of_segment(pair / params.splits); plane++) {
    let at = base + plane * params.channels * params.cols;
    total = merge(total, scan(at, first + lane, min(first + params.split_length, quads), k));
  }
  let part = reduce(total, lane, invocation.index);
  if (lane == 0u && worker < params.rows * params.splits) {
    partials[partial_of_segment(pair / params.splits, pair % params.splits)] = pack(part, k);
  }
}
