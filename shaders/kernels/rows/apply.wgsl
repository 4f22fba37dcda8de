// rows/apply
// needs: affine_map params saved_statistics segments store_output tensors worker
// y = epilogue((x − mean)·rstd·weight + bias) with saved statistics, for segments that are divided into splits: rows, or
// the channels of a sample where weight belongs to those (interfaces/segments).
//
// Mapping: LANES lanes per (segment, split); split s holds quads s·split_length, … of its segment.
// Bindings: x, or the sum that statistics stored, residual, y [segments, cols]; weight, bias [cols] or [channels];
// mean [sets] (hi, lo); rstd [sets].
// Whether a segment is a channel, with one weight and bias for all of it.
override PER_CHANNEL: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows * params.splits);
  if (worker.surplus) { return; }
  let base = worker.id / params.splits * params.cols;
  let segment = params.first_segment + worker.id / params.splits;
  let first = (worker.id % params.splits) * params.split_length;
  let end = min(first + params.split_length, (params.cols + 3u) / 4u);
  let s = saved(set_of_segment(segment));
  // A channel's weight and bias are those of the whole segment: loaded once.
  let parameters = parameters_of(segment);
  var w = weight_at(parameters, 0u, 1u);
  var b = bias_at(parameters, 0u, 1u);
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
