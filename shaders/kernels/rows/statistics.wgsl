// rows/statistics
// needs: params reduce scan segments statistics worker
// Partial statistics of segments that are divided into splits: rows, or the channels of a sample where a set is not
// contiguous or weight belongs to channels (interfaces/segments); merge/statistics.wgsl makes mean and rstd of them.
//
// Mapping: LANES lanes per (segment, split); split s holds quads s·split_length, … of its segment, and of the same
// channel's segments at the next positions where `planes_per_partial` of them share a partial.
// Bindings: x, residual, sum [rows, cols]; partials as interfaces/segments lays them out (n, mean − k, M2, k), k common
// to a segment.
// Numerics: interfaces/statistics/moments.wgsl. Determinism: one writer per split.
var<storage, read_write> partials: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows * params.splits);
  let segment = worker.id / params.splits;
  let split = worker.id % params.splits;
  let base = base_of_segment(segment);
  // Nothing for a surplus worker: a sum that is stored on the way has one writer.
  let quads = select((params.cols + 3u) / 4u, 0u, worker.surplus);
  let first = split * params.split_length;

  let k = segment_pivot(base);
  var total = Part();
  for (var plane = 0u; plane < planes_of_segment(segment); plane++) {
    let at = base + plane * params.channels * params.cols;
    total = merge(total, scan(at, first + worker.lane, min(first + params.split_length, quads), k));
  }
  let part = reduce(total, worker);
  if (worker.lane == 0u && !worker.surplus) {
    partials[partial_of_segment(segment, split)] = pack(part, k);
  }
}
