// source/saved
// needs: saved_statistics set_statistics worker
// Where a pass that applies statistics has those of a set from: an earlier dispatch has saved them.
fn statistics_for(worker: Worker, which: u32, begins: bool) -> Statistics {
  return saved(which);
}
