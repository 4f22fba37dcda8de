// rows/statistics
// needs: affine_map batch_count params reduce scan segments statistics worker
// Partial statistics of segments that are divided into splits: rows, or the channels of a sample where a set is not
// contiguous or weight belongs to channels (interfaces/segments); merge/statistics.wgsl makes mean and rstd of them.
//
// Mapping: LANES lanes per (segment, split); split s holds quads s·split_length, … of its segment, and of the same
// channel's segments at the next positions where `planes_per_partial` of them share a partial.
// Bindings: x, residual, sum [rows, cols]; partials as interfaces/segments lays them out (n, mean − k, M2, k), k common
// to a segment.
// Numerics: interfaces/statistics/moments.wgsl. Determinism: one writer per split.
//
// The first pass over x also counts the batch, where running statistics are updated.
var<storage, read_write> partials: array<vec4<f32>>;

// Whether weight and bias of each channel ride behind the partials (interfaces/affine/carried.wgsl): for BatchNorm, where a
// segment is one channel, and all there is of it in a sample.
override CARRIES: bool = false;
// As in rows/apply.wgsl.
override SEVERAL_PLANES: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows * params.splits);
  let segment = worker.id / params.splits;
  let split = worker.id % params.splits;
  let base = base_of_segment(segment);
  // Nothing for a surplus worker: a sum that is stored on the way has one writer.
  let quads = select((params.cols + 3u) / 4u, 0u, worker.surplus);
  let first = split * params.split_length;

  let k = segment_pivot(base);
  let end = min(first + params.split_length, quads);
  var total = scan(base, first + worker.lane, end, k);
  if (SEVERAL_PLANES) {
    for (var plane = 1u; plane < planes_of_segment(segment); plane++) {
      let at = base + plane * params.channels * params.cols;
      total = merge(total, scan(at, first + worker.lane, end, k));
    }
  }
  let part = reduce(total, worker);
  if (worker.lane == 0u && !worker.surplus) {
    partials[partial_of_segment(segment, split)] = pack(part, k);
    if (CARRIES) {
      if (split == 0u && begins_set(segment)) {
        let parameters = parameters_of(segment);
        let parameter = vec2<f32>(weight_at(parameters, 0u, 1u).x, bias_at(parameters, 0u, 1u).x);
        partials[params.carried + segment] = vec4<f32>(parameter, 0.0, 0.0);
      }
    }
    if (COUNTS) {
      if (worker.id == 0u) {
        count_batch();
      }
    }
  }
}
