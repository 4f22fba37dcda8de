// row_means/merged
// needs: merged_sums row_sums saved_statistics worker
// What dx of the rows of a split is made with: the threads of a workgroup merge the partial sums, each those of other rows, and then
// find all in workgroup memory. The host sees to it that a workgroup has one split, and that this has at most ROWS rows.
override ROWS: u32 = 256u;

var<workgroup> means_of_rows: array<vec4<f32>, 2u * ROWS>;

// To be called in uniform control flow: of rows first, first + step, … so many as count says.
fn prepare_rows(first: u32, step: u32, count: u32, index: u32) {
  for (var i = index; i < count; i += WORKGROUP) {
    let row = first + i * step;
    let found = merged_sums(row, Worker(row, 0u, index, false), 1.0);
    let s = saved(row);
    means_of_rows[2u * i] = vec4<f32>(found.means, s.scale, s.unit);
    means_of_rows[2u * i + 1u] = vec4<f32>(s.hi, s.lo, 0.0, 0.0);
  }
  workgroupBarrier();
}

fn means_of_row(row: u32, i: u32) -> RowSums {
  return joint_sums(means_of_rows[2u * i], means_of_rows[2u * i + 1u]);
}
