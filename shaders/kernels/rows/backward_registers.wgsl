// rows/backward_registers
// needs: affine_map gradient_partials params reduce row_quad saved_statistics set_statistics statistics tensors upstream worker
// dx and the partials of dweight and dbias of a row norm in one pass: x and dy are read once.
//   g = dz·weight,  dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) + dsum,  sum_dz_xhat = Σ dz·x̂,  sum_dz = Σ dz
// (Ba, Kiros and Hinton 2016; without mean(g) for RMSNorm, Zhang and Sennrich 2019), where dz is dy, or dy·activation'(z)
// (shared/upstream.wgsl).
//
// Mapping: LANES lanes per row, WORKGROUP / LANES rows at a time per workgroup; the dispatch is persistent: each
// row-group walks `rows_per_split` rows and keeps its share of dweight and dbias in registers. Lane l holds quads l,
// l + LANES, …, ITEMS of them (a constant, so that the loops unroll and the arrays are registers).
// Bindings: x, dy, dsum, dx [rows, cols]; weight, bias [cols]; mean [rows] (hi, lo); rstd [rows];
// partials [splits, cols] (Σdz, Σdz·x̂), one split per row-group.
// Numerics: centred sums; those of dweight and dbias over `block` rows at a time, which meet in the split: there are no
// registers for a second set of them. Determinism: rows are dealt to row-groups by index, one writer per split.
// The host guarantees cols ≤ 4·LANES·ITEMS and as many workgroups as write all splits; surplus ones do nothing.
// Whether anyone wants dweight or dbias.
override HAS_PARTIALS: bool = true;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.splits);
  let quads = (params.cols + 3u) / 4u;

  for (var first = 0u; first < params.rows_per_split; first += params.block) {
    let stop = min(params.rows_per_split, first + params.block);
    // The sums of this block of rows.
    var sum_dz = array<vec4<f32>, ITEMS>();
    var sum_dz_xhat = array<vec4<f32>, ITEMS>();
    for (var nth = first; nth < stop; nth++) {
      let target_row = nth * params.splits + worker.id;
      let stores = !worker.surplus && target_row < params.rows;
      let row = min(target_row, params.rows - 1u);
      let base = row * params.cols;
      let s = saved(row);

      var xhats: array<vec4<f32>, ITEMS>;
      var gs: array<vec4<f32>, ITEMS>;
      var sum_g = vec4<f32>();
      var sum_g_xhat = vec4<f32>();
      for (var j = 0u; j < ITEMS; j++) {
        let q = worker.lane + j * LANES;
        if (q < quads) {
          let quad = row_quad(base, q);
          let centred = within(quad.valid, centre(load_x(quad.at, quad.valid), s));
          let w = weight_at(row, quad.col, quad.valid);
          let z = affine(centred, s.scale, w, shift_at(row, quad.col, quad.valid));
          let dz = within(quad.valid, upstream(quad.at, quad.valid, z));
          let xhat = centred * s.scale;
          let g = dz * w;
          xhats[j] = xhat;
          gs[j] = g;
          sum_g += g;
          sum_g_xhat += g * xhat;
          if (HAS_PARTIALS) {
            if (stores) {
              sum_dz[j] += dz;
              sum_dz_xhat[j] += dz * normalized(centred, s.scale);
            }
          }
        }
      }
      let total = reduce(Part(add_up(sum_g), add_up(sum_g_xhat)), worker) / params.count;
      if (stores) {
        for (var j = 0u; j < ITEMS; j++) {
          let q = worker.lane + j * LANES;
          if (q < quads) {
            let quad = row_quad(base, q);
            var out = fma(-xhats[j], vec4<f32>(total.y), gs[j]) * s.unit;
            if (HAS_MEAN) {
              out -= total.x * s.unit;
            }
            out *= s.scale;
            store_dx(quad.at, quad.valid, add_dsum(quad.at, quad.valid, out));
          }
        }
      }
    }
    if (HAS_PARTIALS) {
      for (var j = 0u; j < ITEMS; j++) {
        let q = worker.lane + j * LANES;
        if (!worker.surplus && q < quads) {
          let at = worker.id * params.cols + 4u * q;
          store_partials(at, valid_of(params.cols - 4u * q), sum_dz[j], sum_dz_xhat[j], first > 0u);
        }
      }
    }
  }
}
