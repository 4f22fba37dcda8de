// means/merged
// needs: merged_sums row_sums saved_statistics worker
// What dx of a set is made with: its worker merges the partial sums, as in interfaces/source/merged.wgsl. `w` is the weight of a
// set of one channel. To be called in uniform control flow, unless a worker is a single lane.
fn means_for(worker: Worker, which: u32, begins: bool, w: f32) -> RowSums {
  let found = merged_sums(which, worker, w);
  return RowSums(found.means.x, found.means.y, saved(which));
}
