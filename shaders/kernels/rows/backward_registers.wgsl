// rows/backward_registers
// needs: affine_map gradient_partials grouped params reduce row_groups row_quad row_sums saved_statistics set_statistics statistics tensors upstream worker
// dx and the partials of dweight and dbias of a row norm in one pass: x and dy are read once.
//   g = dz·weight,  dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) + dsum,  sum_dz_xhat = Σ dz·x̂,  sum_dz = Σ dz
// (Ba, Kiros and Hinton 2016; without mean(g) for RMSNorm, Zhang and Sennrich 2019), where dz is dy, or dy·activation'(z)
// (shared/upstream.wgsl).
//
// Mapping: LANES lanes per row, a row-group, and WORKGROUP / LANES row-groups per workgroup; the dispatch is persistent:
// each row-group walks `rows_per_split` rows, of which neighbours go to neighbouring row-groups, and keeps its share of
// dweight and dbias in registers. The quads of a lane: shared/row_quad.wgsl, in ITEMS registers (a constant, so that the
// loops unroll). All of x, dy and weight that a row needs is on its way at once, then all of dsum.
// Bindings: x, dy, dsum, dx [rows, cols]; weight, bias [cols]; mean [rows] (hi, lo); rstd [rows];
// partials [splits, cols] (Σdz, Σdz·x̂), one split per workgroup.
// Numerics: centred sums; those of dweight and dbias over `block` rows at a time, then over row-groups; blocks meet in the
// split: there are no registers for a second set of them. Determinism: rows are dealt to row-groups by index, which are
// added in a fixed order (shared/row_groups.wgsl), one writer per split.
// The host guarantees as many workgroups as there are splits; surplus ones store nothing.
// Whether anyone wants dweight or dbias.
override HAS_PARTIALS: bool = true;
// Whether a workgroup has several row-groups.
override SHARES_SPLIT: bool = false;
// Whether there are several blocks.
override IN_BLOCKS: bool = true;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let row_groups = WORKGROUP / LANES;
  let walkers = params.splits * row_groups;
  let worker = worker_of(invocation, walkers);
  // Splits are a multiple of the groups of columns, and all rows of a split are sets of the same one.
  let grouped = worker.id % row_groups * params.splits + worker.id / row_groups;
  let dealt = walk_of_group(select(worker.id, grouped, GROUPED), walkers);
  let parameters = parameters_of(min(dealt.first, dealt.end - 1u));

  for (var first = 0u; first < params.rows_per_split; first += params.block) {
    let stop = min(params.rows_per_split, first + params.block);
    // The sums of this block of rows.
    var sum_dz = array<vec4<f32>, ITEMS>();
    var sum_dz_xhat = array<vec4<f32>, ITEMS>();
    for (var nth = first; nth < stop; nth++) {
      let target_row = nth * dealt.step + dealt.first;
      let stores = !worker.surplus && target_row < dealt.end;
      let row = min(target_row, params.rows - 1u);
      let base = row * params.cols;

      var xs: array<vec4<f32>, ITEMS>;  // x, then x − mean
      var gs: array<vec4<f32>, ITEMS>;  // dy, then g
      var weights: array<vec4<f32>, AHEAD>;
      var shifts: array<vec4<f32>, AHEAD>;
      for (var j = 0u; j < ITEMS; j++) {
        let quad = row_quad(base, worker.lane, j);
        xs[j] = load_x(quad.at, quad.valid);
        gs[j] = load_dy(quad.at, quad.valid);
        if (j < AHEAD) {
          weights[j] = weight_at(parameters, quad.col, quad.valid);
          shifts[j] = shift_at(parameters, quad.col, quad.valid);
        }
      }
      let s = saved(row);
      var sum_g = vec4<f32>();
      var sum_g_xhat = vec4<f32>();
      for (var j = 0u; j < ITEMS; j++) {
        let quad = row_quad(base, worker.lane, j);
        let centred = in_row(quad, centre(xs[j], s));
        let z = affine(centred, s.scale, weights[j % AHEAD], shifts[j % AHEAD]);
        let dz = in_row(quad, upstream_of(gs[j], quad.at, quad.valid, z));
        let g = dz * weights[j % AHEAD];
        xs[j] = centred;
        gs[j] = g;
        sum_g += g;
        sum_g_xhat += g * (centred * s.scale);
        if (HAS_PARTIALS) {
          sum_dz[j] += select(vec4<f32>(), dz, stores);
          sum_dz_xhat[j] += select(vec4<f32>(), dz * normalized(centred, s.scale), stores);
        }
        if (j + AHEAD < ITEMS) {
          let later = row_quad(base, worker.lane, j + AHEAD);
          weights[j % AHEAD] = weight_at(parameters, later.col, later.valid);
          shifts[j % AHEAD] = shift_at(parameters, later.col, later.valid);
        }
      }
      let total = reduce(Part(add_up(sum_g), add_up(sum_g_xhat)), worker) / params.count;
      let means = RowSums(total.x, total.y, s);
      for (var j = 0u; j < ITEMS; j++) {
        let quad = row_quad(base, worker.lane, j);
        gs[j] = add_dsum(quad.at, quad.valid, gradient_of_x(xs[j], gs[j], means));
      }
      if (stores) {
        for (var j = 0u; j < ITEMS; j++) {
          let quad = row_quad(base, worker.lane, j);
          if (!quad.beyond) {
            store_dx(quad.at, quad.valid, gs[j]);
          }
        }
      }
    }
    if (HAS_PARTIALS) {
      if (SHARES_SPLIT) {
        add_row_groups(&sum_dz, worker.index);
        add_row_groups(&sum_dz_xhat, worker.index);
      }
      if (!worker.surplus && worker.index < LANES) {
        let split = worker.id / row_groups;
        for (var j = 0u; j < ITEMS; j++) {
          let quad = row_quad(0u, worker.lane, j);
          if (!quad.beyond) {
            store_partials(split * params.cols + quad.col, quad.valid, sum_dz[j], sum_dz_xhat[j], IN_BLOCKS && first > 0u);
          }
        }
      }
    }
  }
}
