// Partial statistics of runs that are split over slots: rows, or the channels of a sample where a set is not contiguous
// or weight belongs to channels (lib/runs_*.wgsl); merge/statistics.wgsl makes mean and rstd of them.
//
// Mapping: LANES lanes per (run, slot); slot s holds quads s·slot_length, … of its run.
// Bindings: x, residual [rows, cols]; partials as lib/runs_*.wgsl lays them out (n, mean − k, M2, k), k common to a run.
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
  let base = (worker / params.slots) * params.cols;
  let quads = (params.cols + 3u) / 4u;
  let first = (worker % params.slots) * params.slot_length;

  let k = run_pivot(base);
  let part = reduce(scan(base, first + lane, min(first + params.slot_length, quads), k), lane, index);
  if (lane == 0u && wanted < params.rows * params.slots) {
    partials[partial_of_run(worker / params.slots, worker % params.slots)] = pack(part, k);
  }
}
