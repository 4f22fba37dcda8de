// rows/apply
// needs: affine emit params runs saved_statistics tensors worker
// y = epilogue((x − mean)·rstd·weight + bias) with saved statistics, for runs that are split over slots: rows, or the channels of
// a sample where weight belongs to those (interfaces/runs).
//
// Mapping: LANES lanes per (run, slot); slot s holds quads s·slot_length, … of its run.
// Bindings: x, or the sum that statistics stored, residual, y [runs, cols]; weight, bias [cols] or [channels];
// mean [sets] (hi, lo); rstd [sets].
// Whether a run is a channel, with one weight and bias for all of it.
override PER_CHANNEL: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_id(invocation);
  if (worker >= params.rows * params.slots) {
    return;
  }
  let base = worker / params.slots * params.cols;
  let run = params.first_run + worker / params.slots;
  let first = (worker % params.slots) * params.slot_length;
  let end = min(first + params.slot_length, (params.cols + 3u) / 4u);
  let s = saved(set_of_run(run));
  // A channel's weight and bias are those of the whole run: loaded once.
  var w = weight_at(run, 0u, 1u);
  var b = bias_at(run, 0u, 1u);
  for (var q = first + lane_id(invocation); q < end; q += LANES) {
    let col = 4u * q;
    let valid = valid_of(params.cols - col);
    if (!PER_CHANNEL) {
      w = weight_at(run, col, valid);
      b = bias_at(run, col, valid);
    }
    emit(place(base + col), valid, s, w, b);
  }
}
