// channels/apply
// needs: abreast column_statistics columns columns_abreast epilogue quad_statistics tensors worker
// y = epilogue((x − mean)·rstd·weight + bias) with saved statistics, for x[samples, rows, cols] (shared/columns.wgsl).
//
// Mapping: a thread owns four neighbouring columns and one split of the rows; its statistics and parameters stay
// in registers. No barrier.
// Bindings: x, y; weight, bias [channels]; mean [samples·groups] (hi, lo); rstd [samples·groups].
@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let c = column_of(thread_id(invocation));
  if (!c.in_range) { return; }
  let s = column_statistics(c);
  let scale = s.scale * column_weight(c);
  let shift = column_bias(c);
  var p = c.first;
  if (ABREAST) {
    for (; p + AT_ONCE <= c.end; p += AT_ONCE) {
      var v = x_abreast(c, p);
      var r: array<vec4<f32>, AT_ONCE>;
      if (RESIDUAL_AFTER) {
        r = residual_abreast(c, p);
      }
      for (var i = 0u; i < AT_ONCE; i++) {
        let z = centre_columns(v[i], s) * scale + shift;
        store_y(place_of(c, p + i), c.valid, finished(z, r[i]));
      }
    }
  }
  for (; p < c.end; p++) {
    let at = place_of(c, p);
    store_y(at, c.valid, epilogue(at, c.valid, centre_columns(load_x(at, c.valid), s) * scale + shift));
  }
}
