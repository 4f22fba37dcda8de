// source/merged
// needs: merged_statistics outcome saving set_statistics statistics worker
// Where a pass that applies statistics has those of a set from: its worker merges the partial ones, which saves a dispatch
// where they are few. Every worker of a set does so and gets the same bits; one of them, whose work `begins` the set, stores what
// becomes of them, once. To be called in uniform control flow.
fn statistics_for(worker: Worker, which: u32, begins: bool) -> Statistics {
  let found = merged_statistics(which, worker);
  let s = finish(found.part, found.k);
  if (begins && worker.lane == 0u && !worker.surplus) {
    if (SAVES) {
      save(which, s);
    }
    follow_up(which, s, found.part);
  }
  return s;
}
