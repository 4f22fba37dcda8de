// rows/apply
// needs: affine_map params segments set_statistics source store_output tensors worker
// y = epilogue((x − mean)·rstd·weight + bias), for segments that are divided into splits: rows, or the channels of a sample where
// weight belongs to those (interfaces/segments). mean and rstd have been saved, or are merged here (interfaces/source).
//
// Mapping: LANES lanes per (segment, split); split s holds quads s·split_length, … of its segment, and of the same
// channel's segments at the next positions with SEVERAL_PLANES.
// Bindings: x, or the sum that statistics stored, residual, y [segments, cols]; weight, bias [cols] or [channels];
// mean [sets] (hi, lo); rstd [sets]. Merged here: partials, running statistics, and weight and bias where no binding is left for
// those (interfaces/affine/carried.wgsl).
// Whether a segment is a channel, with one weight and bias for all of it.
override PER_CHANNEL: bool = false;
// Whether `planes_per_partial` positions are one segment here, as they are in sums: a workgroup that merges should have more work than
// that. A loop that runs once costs a software adapter much.
override SEVERAL_PLANES: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows * params.splits);
  let row = worker.id / params.splits;
  let segment = params.first_segment + row;
  let begins = worker.id % params.splits == 0u && begins_set(segment);
  let s = statistics_for(worker, set_of_segment(segment), begins);
  if (worker.surplus) { return; }
  // A channel's weight and bias are those of the whole segment: loaded once.
  let parameters = parameters_of(segment);
  let w = weight_at(parameters, 0u, 1u);
  let b = bias_at(parameters, 0u, 1u);
  if (SEVERAL_PLANES) {
    let base = base_of_segment(row);
    for (var plane = 0u; plane < planes_of_segment(row); plane++) {
      apply_plane(worker, base + plane * params.channels * params.cols, s, parameters, w, b);
    }
  } else {
    apply_plane(worker, row * params.cols, s, parameters, w, b);
  }
}

fn apply_plane(
  worker: Worker,
  base: u32,
  s: Statistics,
  parameters: u32,
  w_of_segment: vec4<f32>,
  b_of_segment: vec4<f32>,
) {
  let first = (worker.id % params.splits) * params.split_length;
  let end = min(first + params.split_length, (params.cols + 3u) / 4u);
  var w = w_of_segment;
  var b = b_of_segment;
  for (var q = first + worker.lane; q < end; q += LANES) {
    let col = 4u * q;
    let valid = valid_of(params.cols - col);
    if (!PER_CHANNEL) {
      w = weight_at(parameters, col, valid);
      b = bias_at(parameters, col, valid);
    }
    store_output(place(base + col), valid, s, w, b);
  }
}
