// means/stored
// needs: row_sums worker
// What dx of a set is made with: merge/sums.wgsl has stored it.
fn means_for(worker: Worker, which: u32, begins: bool, w: f32) -> RowSums {
  return sums_of_row(which);
}
