// rows/forward_stream
// needs: affine params reduce saving scan statistics store_output tensors worker
// y = epilogue((x − mean)·rstd·weight + bias) per row, the row read twice: once for its statistics, once (from a cache, if it
// fits one) for y: for rows that do not fit the registers of a workgroup. Of a residual form the first time stores the sum, which the
// second reads.
//
// Mapping: LANES lanes per row, WORKGROUP / LANES rows per workgroup; lane l takes quads l, l + LANES, …
// Bindings: x, residual, y, sum [rows, cols]; weight, bias [cols] or [channels]; mean [rows] (hi, lo); rstd [rows].
// Numerics: interfaces/statistics/moments.wgsl. Determinism: every row is summed in a fixed order.
// The host guarantees rows ≥ 1, cols ≥ 1, rows·cols < 2^32, and enough workgroups; surplus ones do nothing.
@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let lane = lane_id(invocation);
  let worker = worker_id(invocation);
  let row = min(worker, params.rows - 1u);
  let base = row * params.cols;
  let quads = (params.cols + 3u) / 4u;

  let k = segment_pivot(base);
  // Nothing for a surplus worker: a sum that is stored on the way has one writer.
  let s = finish(reduce(scan(base, lane, select(quads, 0u, row < worker), k), lane, invocation.index), k);
  if (worker >= params.rows) {
    return;
  }
  if (lane == 0u) {
    save_for_backward(row, s);
  }
  for (var q = lane; q < quads; q += LANES) {
    let col = 4u * q;
    let valid = valid_of(params.cols - col);
    store_output(place(base + col), valid, s, weight_at(row, col, valid), bias_at(row, col, valid));
  }
}
