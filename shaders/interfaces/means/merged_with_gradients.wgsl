// means/merged_with_gradients
// needs: gradient_stores merged_sums row_sums saved_statistics worker
// As means/merged.wgsl, where dweight and dbias come of the same sums: the worker whose work `begins` the set stores them, once.
fn means_for(worker: Worker, which: u32, begins: bool, w: f32) -> RowSums {
  let found = merged_sums(which, worker, w);
  if (begins && worker.lane == 0u && !worker.surplus) {
    store_gradients(which, found.unweighted.x, found.unweighted.y);
  }
  return RowSums(found.means.x, found.means.y, saved(which));
}
