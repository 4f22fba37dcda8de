// rows/backward_registers
// needs: affine affine_map params reduce saved_statistics set_statistics statistics tensors upstream worker
// dx and the partials of dweight and dbias of a row norm in one pass: x and dy are read once.
//   g = dz·weight,  dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) + dsum,  sum_dz_xhat = Σ dz·x̂,  sum_dz = Σ dz
// (Ba, Kiros and Hinton 2016; without mean(g) for RMSNorm, Zhang and Sennrich 2019), where dz is dy, or dy·activation'(z) (shared/upstream.wgsl).
//
// Mapping: LANES lanes per row, WORKGROUP / LANES rows at a time per workgroup; the dispatch is persistent: each
// row-group walks `rows_per_split` rows and keeps its share of dweight and dbias in registers. Lane l holds quads l,
// l + LANES, …, ITEMS of them (a constant, so that the loops unroll and the arrays are registers).
// Bindings: x, dy, dsum, dx [rows, cols]; weight, bias [cols]; mean [rows] (hi, lo); rstd [rows];
// partials [splits, cols] (Σdz, Σdz·x̂), one split per row-group.
// Numerics: centred sums; those of dweight and dbias over `block` rows at a time, which meet in the split: there are no
// registers for a second set of them. Determinism: rows are dealt to row-groups by index, one writer per split.
// The host guarantees cols ≤ 4·LANES·ITEMS and as many workgroups as write all splits; surplus ones do nothing.
var<storage, read_write> gradients: array<vec2<f32>>;

// Whether anyone wants dweight or dbias.
override HAS_PARTIALS: bool = true;
// As in interfaces/gradients/partials.wgsl.
override ADD_PARTIALS: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let lane = lane_id(invocation);
  let group = worker_id(invocation);
  let quads = (params.cols + 3u) / 4u;

  for (var first = 0u; first < params.rows_per_split; first += params.block) {
    let stop = min(params.rows_per_split, first + params.block);
    // The sums of this block of rows.
    var sum_dz = array<vec4<f32>, ITEMS>();
    var sum_dz_xhat = array<vec4<f32>, ITEMS>();
    for (var nth = first; nth < stop; nth++) {
      let target_row = nth * params.splits + group;
      let in_range = group < params.splits && target_row < params.rows;
      let row = min(target_row, params.rows - 1u);
      let base = row * params.cols;
      let s = saved(row);

      var xhats: array<vec4<f32>, ITEMS>;
      var gs: array<vec4<f32>, ITEMS>;
      var sum_g = vec4<f32>();
      var sum_g_xhat = vec4<f32>();
      for (var j = 0u; j < ITEMS; j++) {
        let q = lane + j * LANES;
        if (q < quads) {
          let col = 4u * q;
          let valid = valid_of(params.cols - col);
          let at = place(base + col);
          let centred = within(valid, centre(load_x(at, valid), s));
          let w = weight_at(row, col, valid);
          let z = affine(centred, s.scale, w, shift_at(row, col, valid));
          let dz = within(valid, upstream(at, valid, z));
          let xhat = centred * s.scale;
          let g = dz * w;
          xhats[j] = xhat;
          gs[j] = g;
          sum_g += g;
          sum_g_xhat += g * xhat;
          if (HAS_PARTIALS) {
            if (in_range) {
              sum_dz[j] += dz;
              sum_dz_xhat[j] += dz * normalized(centred, s.scale);
            }
          }
        }
      }
      let total = reduce(Part(add_up(sum_g), add_up(sum_g_xhat)), lane, invocation.index) / params.count;
      if (in_range) {
        for (var j = 0u; j < ITEMS; j++) {
          let q = lane + j * LANES;
          if (q < quads) {
            let col = 4u * q;
            let valid = valid_of(params.cols - col);
            var out = fma(-xhats[j], vec4<f32>(total.y), gs[j]) * s.unit;
            if (HAS_MEAN) {
              out -= total.x * s.unit;
            }
            out *= s.scale;
            let at = place(base + col);
            store_dx(at, valid, add_dsum(at, valid, out));
          }
        }
      }
    }
    if (HAS_PARTIALS) {
      for (var j = 0u; j < ITEMS; j++) {
        let q = lane + j * LANES;
        if (group < params.splits && q < quads) {
          let valid = valid_of(params.cols - 4u * q);
          let at = group * params.cols + 4u * q;
          for (var e = 0u; e < valid; e++) {
            let more = vec2<f32>(sum_dz[j][e], sum_dz_xhat[j][e]);
            if (ADD_PARTIALS || first > 0u) {
              gradients[at + e] += more;
            } else {
              gradients[at + e] = more;
            }
          }
        }
      }
    }
  }
}
