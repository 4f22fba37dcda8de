// rows/forward_thread
// needs: affine_map params saving scan set_statistics statistics store_output tensors worker
// y = epilogue((x − mean)·rstd·weight + bias), a thread per row or per four and no barrier: for adapters where barriers
// cost more than loads. x is read twice, or x and residual once and their sum stored, then read. weight and bias are
// loaded once for all rows of the thread, since a software adapter pays for a load that all lanes share as for any other.
//
// Mapping: thread t owns row t or, with FOUR_ROWS, rows 4t … 4t + 3; past the last row it does the last one again.
// Bindings: x, residual, y, sum [rows, cols]; weight, bias [cols] or, without FOUR_ROWS, [channels];
// mean [rows] (hi, lo); rstd [rows].
// Numerics: interfaces/statistics/moments.wgsl. Determinism: every row is summed in a fixed order.
// The host guarantees rows ≥ 1, cols ≥ 1, rows·cols < 2^32, and enough workgroups; surplus threads do nothing.
//
// Measured on SwiftShader, 4096×1024: 1, 2, 4, 8 rows a thread: 37, 28, 23, 29 ms beside a copy of 15. Unrolling the
// loops over quads did not help, and arrays over the rows instead of names cost more than the loads they save.
override FOUR_ROWS: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let thread = thread_id(invocation);
  let row0 = thread * select(1u, 4u, FOUR_ROWS);
  if (row0 >= params.rows) { return; }
  let last = params.rows - 1u;
  let row1 = min(row0 + 1u, last);
  let row2 = min(row0 + 2u, last);
  let row3 = min(row0 + 3u, last);
  let s0 = statistics_of(row0);
  var s1 = s0;
  var s2 = s0;
  var s3 = s0;
  if (FOUR_ROWS) {
    s1 = statistics_of(row1);
    s2 = statistics_of(row2);
    s3 = statistics_of(row3);
  }
  let start0 = place(row0 * params.cols);
  let start1 = place(row1 * params.cols);
  let start2 = place(row2 * params.cols);
  let start3 = place(row3 * params.cols);
  let quads = (params.cols + 3u) / 4u;
  let parameters = parameters_of(row0);
  for (var q = 0u; q < quads; q++) {
    let col = 4u * q;
    let valid = valid_of(params.cols - col);
    let w = weight_at(parameters, col, valid);
    let b = bias_at(parameters, col, valid);
    store_output(quad_at(start0, q), valid, s0, w, b);
    if (FOUR_ROWS) {
      store_output(quad_at(start1, q), valid, s1, w, b);
      store_output(quad_at(start2, q), valid, s2, w, b);
      store_output(quad_at(start3, q), valid, s3, w, b);
    }
  }
}

fn statistics_of(row: u32) -> Statistics {
  let base = row * params.cols;
  let k = segment_pivot(base);
  let s = finish(scan(base, 0u, (params.cols + 3u) / 4u, k), k);
  save_for_backward(0u, row, s);
  return s;
}
