// y = (x − mean)·rstd·weight + bias with saved statistics, for rows that are split over slots.
//
// Mapping: LANES lanes per (row, slot); slot s holds quads s·slot_length, … of its row.
// Bindings: x, residual, y, sum [rows, cols]; weight, bias [cols] or [channels]; mean [rows] (hi, lo); rstd [rows].
@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let worker = (wid.x + wid.y * grid.x) * (WORKGROUP / LANES) + index / LANES;
  if (worker >= params.rows * params.slots) {
    return;
  }
  let row = worker / params.slots;
  let base = row * params.cols;
  let first = (worker % params.slots) * params.slot_length;
  let end = min(first + params.slot_length, (params.cols + 3u) / 4u);
  let s = saved(row);
  for (var q = first + index % LANES; q < end; q += LANES) {
    let col = 4u * q;
    let valid = valid_of(params.cols - col);
    let v = input(base + col, valid);
    emit_sum(base + col, valid, v);
    let out = affine(centre(v, s), s.rstd, weight_at(row, col, valid), bias_at(row, col, valid));
    store_y(base + col, valid, out);
  }
}
