// rows/forward_registers
// needs: affine_map epilogue input params reduce row_quad saving scan set_statistics statistics tensors worker
// y = epilogue((x − mean)·rstd·weight + bias) per row, the row kept in registers: each input is read once.
//
// Mapping: LANES lanes per row, WORKGROUP / LANES rows per workgroup. The quads of a lane: shared/row_quad.wgsl, in ITEMS
// registers (a constant, so that the loops unroll).
// Bindings: x, residual, y, sum [rows, cols]; weight, bias [cols] or [channels]; mean [rows] (hi, lo); rstd [rows].
// Numerics: interfaces/statistics/moments.wgsl; a lane's quads are one chunk. Determinism: the merge tree is fixed.
// The host guarantees ITEMS ≤ 16, rows·cols < 2^32, enough workgroups; surplus ones do nothing.
@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows);
  let base = worker.id * params.cols;

  var values: array<vec4<f32>, ITEMS>;
  for (var j = 0u; j < ITEMS; j++) {
    let quad = row_quad(base, worker.lane, j);
    values[j] = input(quad.at, quad.valid);
  }
  let k = segment_pivot(base);
  let s = finish(reduce(part_of_row(&values, base, worker.lane, k), worker), k);
  if (worker.surplus) { return; }
  let parameters = parameters_of(worker.id);
  var maps: array<Map, AHEAD>;
  for (var j = 0u; j < min(AHEAD, ITEMS); j++) {
    maps[j] = map_of(parameters, row_quad(base, worker.lane, j));
  }
  for (var j = 0u; j < ITEMS; j++) {
    store_quad(row_quad(base, worker.lane, j), values[j], s, maps[j % AHEAD]);
    if (j + AHEAD < ITEMS) {
      maps[j % AHEAD] = map_of(parameters, row_quad(base, worker.lane, j + AHEAD));
    }
  }
  save_for_backward(worker.lane, worker.id, s);
}

// What makes y of x̂.
struct Map {
  w: vec4<f32>,
  b: vec4<f32>,
  residual_quad: vec4<f32>,
}

fn map_of(parameters: u32, quad: RowQuad) -> Map {
  return Map(
    weight_at(parameters, quad.col, quad.valid),
    bias_at(parameters, quad.col, quad.valid),
    added_residual(quad.at, quad.valid),
  );
}

fn store_quad(quad: RowQuad, v: vec4<f32>, s: Statistics, map: Map) {
  let z = affine(centre(v, s), s.scale, map.w, map.b);
  let out = finished(z, map.residual_quad);
  if (!quad.beyond) {
    store_input(quad.at, quad.valid, v);
    store_y(quad.at, quad.valid, out);
  }
}

// The statistics of a lane's quads: none where the row has ended before the first.
fn part_of_row(values: ptr<function, array<vec4<f32>, ITEMS>>, base: u32, lane: u32, k: f32) -> Part {
  var scale = 1.0;
  var total = Sums();
  for (var attempt = 0u; attempt < 3u; attempt++) {
    var chunk = chunk_start(values[0] * scale);
    var n = 0u;
    for (var j = 0u; j < ITEMS; j++) {
      let quad = row_quad(base, lane, j);
      chunk = chunk_if(!quad.beyond, chunk_add(chunk, values[j], scale, quad.valid), chunk);
      n += select(quad.valid, 0u, quad.beyond);
    }
    total = chunk_sums(chunk, n, k * scale);
    let next = next_scale(outside(total), squares_of(total), scale, attempt);
    if (next == scale) { break; }
    scale = next;
  }
  return select(Part(total, scale), Part(), row_quad(base, lane, 0u).beyond);
}
