// rows/statistics
// needs: params reduce runs scan statistics worker
// Partial statistics of runs that are split over slots: rows, or the channels of a sample where a set is not contiguous
// or weight belongs to channels (interfaces/runs); merge/statistics.wgsl makes mean and rstd of them.
//
// Mapping: LANES lanes per (run, slot); slot s holds quads s·slot_length, … of its run, and of the same channel's runs at the
// next positions where `rounds` of them share a partial.
// Bindings: x, residual, sum [rows, cols]; partials as interfaces/runs lays them out (n, mean − k, M2, k), k common to a run.
// Numerics: interfaces/statistics/moments.wgsl. Determinism: one writer per slot.
var<storage, read_write> partials: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let lane = lane_id(invocation);
  let wanted = worker_id(invocation);
  let worker = min(wanted, params.rows * params.slots - 1u);
  let base = base_of_run(worker / params.slots);
  // Nothing for a surplus worker: a sum that is stored on the way has one writer.
  let quads = select((params.cols + 3u) / 4u, 0u, worker < wanted);
  let first = (worker % params.slots) * params.slot_length;

  let k = run_pivot(base);
  var total = Part();
  for (var round = 0u; round < rounds_of_run(worker / params.slots); round++) {
    let at = base + round * params.channels * params.cols;
    total = merge(total, scan(at, first + lane, min(first + params.slot_length, quads), k));
  }
  let part = reduce(total, lane, invocation.index);
  if (lane == 0u && wanted < params.rows * params.slots) {
    partials[partial_of_run(worker / params.slots, worker % params.slots)] = pack(part, k);
  }
}
