// merge/statistics
// needs: merged_statistics outcome params statistics worker
// mean and rstd of every set from its partial statistics.
//
// Mapping: LANES lanes per set; lane l takes parts l, l + LANES, … A set's parts are splits × (channels / groups).
// Bindings: partials (shared/merged_statistics.wgsl); mean [samples·groups] (hi, lo); rstd [samples·groups].
// Determinism: parts are merged in a fixed order, whatever order they were written in.
@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.samples * params.groups);
  let found = merged_statistics(worker.id, worker);
  if (worker.lane == 0u && !worker.surplus) {
    store_outcome(worker.id, finish(found.part, found.k), found.part);
  }
}
