// rows/forward_registers
// needs: affine_map epilogue input params reduce row_quad saving scan set_statistics statistics tensors worker
// y = epilogue((x − mean)·rstd·weight + bias) per row, the row kept in registers: each input is read once.
//
// Mapping: LANES lanes per row, WORKGROUP / LANES rows per workgroup; lane l holds quads l, l + LANES, …, ITEMS of
// them (a constant, so that the loops unroll and the array is registers).
// Bindings: x, residual, y, sum [rows, cols]; weight, bias [cols] or [channels]; mean [rows] (hi, lo); rstd [rows].
// Numerics: interfaces/statistics/moments.wgsl; a lane's quads are one chunk. Determinism: the merge tree is fixed.
// The host guarantees cols ≤ 4·LANES·ITEMS, ITEMS ≤ 16, rows·cols < 2^32, enough workgroups; surplus ones do nothing.
@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows);
  let base = worker.id * params.cols;
  let quads = (params.cols + 3u) / 4u;

  var values: array<vec4<f32>, ITEMS>;
  for (var j = 0u; j < ITEMS; j++) {
    let quad = row_quad(base, min(worker.lane + j * LANES, quads - 1u));
    values[j] = input(quad.at, quad.valid);
  }
  let k = segment_pivot(base);
  var part = Part();
  if (worker.lane < quads) {
    part = part_of_row(&values, worker.lane, quads, k);
  }
  let s = finish(reduce(part, worker), k);
  if (worker.surplus) { return; }
  save_for_backward(worker.lane, worker.id, s);
  for (var j = 0u; j < ITEMS; j++) {
    let q = worker.lane + j * LANES;
    if (q < quads) {
      let quad = row_quad(base, q);
      let centred = centre(store_input(quad.at, quad.valid, values[j]), s);
      let w = weight_at(worker.id, quad.col, quad.valid);
      let b = bias_at(worker.id, quad.col, quad.valid);
      store_y(quad.at, quad.valid, epilogue(quad.at, quad.valid, affine(centred, s.scale, w, b)));
    }
  }
}

// The statistics of a lane's quads, of which there is one at least.
fn part_of_row(values: ptr<function, array<vec4<f32>, ITEMS>>, lane: u32, quads: u32, k: f32) -> Part {
  var scale = 1.0;
  var total = Sums();
  for (var attempt = 0u; attempt < 3u; attempt++) {
    var chunk = chunk_start(values[0] * scale);
    var n = 0u;
    for (var j = 0u; j < ITEMS; j++) {
      let q = lane + j * LANES;
      if (q < quads) {
        let valid = valid_of(params.cols - 4u * q);
        chunk = chunk_add(chunk, values[j], scale, valid);
        n += valid;
      }
    }
    total = chunk_sums(chunk, n, k * scale);
    let next = next_scale(outside(total), squares_of(total), scale, attempt);
    if (next == scale) { return Part(total, scale); }
    scale = next;
  }
  return Part(total, scale);
}
