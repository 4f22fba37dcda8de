// rows/forward_registers
// needs: affine affine_map epilogue input params reduce saving scan set_statistics statistics tensors worker
// y = epilogue((x − mean)·rstd·weight + bias) per row, the row kept in registers: each input is read once.
//
// Mapping: LANES lanes per row, WORKGROUP / LANES rows per workgroup; lane l holds quads l, l + LANES, …, ITEMS of
// them (a constant, so that the loops unroll and the array is registers).
// Bindings: x, residual, y, sum [rows, cols]; weight, bias [cols] or [channels]; mean [rows] (hi, lo); rstd [rows].
// Numerics: interfaces/statistics/moments.wgsl; a lane's quads are one chunk. Determinism: the merge tree is fixed.
// The host guarantees cols ≤ 4·LANES·ITEMS, ITEMS ≤ 16, rows·cols < 2^32, enough workgroups; surplus ones do nothing.
@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let lane = lane_id(invocation);
  let worker = worker_id(invocation);
  let row = min(worker, params.rows - 1u);
  let base = row * params.cols;
  let quads = (params.cols + 3u) / 4u;

  var row_quads: array<vec4<f32>, ITEMS>;
  for (var j = 0u; j < ITEMS; j++) {
    let q = min(lane + j * LANES, quads - 1u);
    row_quads[j] = input(place(base + 4u * q), valid_of(params.cols - 4u * q));
  }
  let k = segment_pivot(base);
  var part = Part();
  if (lane < quads) {
    part = part_of_row(&row_quads, lane, quads, k);
  }
  let s = finish(reduce(part, lane, invocation.index), k);
  if (worker >= params.rows) {
    return;
  }
  if (lane == 0u) {
    save_for_backward(row, s);
  }
  for (var j = 0u; j < ITEMS; j++) {
    let q = lane + j * LANES;
    if (q < quads) {
      let col = 4u * q;
      let valid = valid_of(params.cols - col);
      let at = place(base + col);
      let v = store_input(at, valid, row_quads[j]);
      let out = affine(centre(v, s), s.scale, weight_at(row, col, valid), bias_at(row, col, valid));
      store_y(at, valid, epilogue(at, valid, out));
    }
  }
}

// The statistics of a lane's quads, of which there is one at least.
fn part_of_row(row_quads: ptr<function, array<vec4<f32>, ITEMS>>, lane: u32, quads: u32, k: f32) -> Part {
  var scale = 1.0;
  var total = Sums();
  for (var attempt = 0u; attempt < 3u; attempt++) {
    var chunk = chunk_start(row_quads[0] * scale);
    var n = 0u;
    for (var j = 0u; j < ITEMS; j++) {
      let q = lane + j * LANES;
      if (q < quads) {
        let valid = valid_of(params.cols - 4u * q);
        chunk = chunk_add(chunk, row_quads[j], scale, valid);
        n += valid;
      }
    }
    total = chunk_sums(chunk, n, k * scale);
    let next = next_scale(outside(total), squares_of(total), scale, attempt);
    if (next == scale) {
      break;
    }
    scale = next;
  }
  return Part(total, scale);
}
