// rows/statistics
// Partial statistics of runs that are split over slots: rows, or the channels of a sample where a set is not contiguous
// or weight belongs to channels (lib/runs_*.wgsl); merge/statistics.wgsl makes mean and rstd of them.
//
// Mapping: LANES lanes per (run, slot); slot s holds quads s·slot_length, … of its run, and of the same channel's runs at the
// next positions where `rounds` of them share a partial.
// Bindings: x, residual, sum [rows, cols]; partials as lib/runs_*.wgsl lays them out (n, mean − k, M2, k), k common to a run.
// Numerics: lib/moments.wgsl. Determinism: one writer per slot.
@group(0) @binding(12) var<storage, read_write> partials: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let lane = index % LANES;
  let wanted = (wid.x + wid.y * grid.x) * (WORKGROUP / LANES) + index / LANES;
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
  let part = reduce(total, lane, index);
  if (lane == 0u && wanted < params.rows * params.slots) {
    partials[partial_of_run(worker / params.slots, worker % params.slots)] = pack(part, k);
  }
}
