// row_means/stored
// needs: row_sums
// What dx of the rows of a split is made with: merge/sums.wgsl has stored it.
fn prepare_rows(first: u32, step: u32, count: u32, index: u32) {
}

// Of a row, which is number `i` of its split.
fn means_of_row(row: u32, i: u32) -> RowSums {
  return sums_of_row(row);
}
