// rows/forward_stream
// needs: affine_map params reduce saving scan statistics store_output tensors worker
// y = epilogue((x − mean)·rstd·weight + bias) per row, the row read twice: once for its statistics, once (from a cache,
// if it fits one) for y: for rows that do not fit the registers of a workgroup. Of a residual form the first time stores
// the sum, which the second reads.
//
// Mapping: LANES lanes per row, WORKGROUP / LANES rows per workgroup; lane l takes quads l, l + LANES, …
// Bindings: x, residual, y, sum [rows, cols]; weight, bias [cols] or [channels]; mean [rows] (hi, lo); rstd [rows].
// Numerics: interfaces/statistics/moments.wgsl. Determinism: every row is summed in a fixed order.
// The host guarantees rows ≥ 1, cols ≥ 1, rows·cols < 2^32, and enough workgroups; surplus ones do nothing.
@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows);
  let base = worker.id * params.cols;
  let quads = (params.cols + 3u) / 4u;

  let k = segment_pivot(base);
  // Nothing for a surplus worker: a sum that is stored on the way has one writer.
  let s = finish(reduce(scan(base, worker.lane, select(quads, 0u, worker.surplus), k), worker), k);
  if (worker.surplus) { return; }
  save_for_backward(worker.lane, worker.id, s);
  let parameters = parameters_of(worker.id);
  for (var q = worker.lane; q < quads; q += LANES) {
    let col = 4u * q;
    let valid = valid_of(params.cols - col);
    store_output(place(base + col), valid, s, weight_at(parameters, col, valid), bias_at(parameters, col, valid));
  }
}
