// channels/backward_apply
// needs: column_statistics columns tensors upstream worker
// dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), g = dz·weight (dz: shared/upstream.wgsl), for x[samples, rows, cols]
// (shared/columns.wgsl), with the means over each set from merge/sums.wgsl.
//
// Mapping: a thread owns four neighbouring columns and one slot of the rows. No barrier.
// Bindings: x, dy, dx; weight, bias [channels]; mean, rstd, sums [samples·groups].
var<storage, read> sums: array<vec4<f32>>;

// As in merge/sums.wgsl: dx = rstd·dz·weight.
override FROZEN: bool = false;
// Whether x̂ is: not where FROZEN meets no activation.
override NEEDS_X: bool = true;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let c = column_of(thread_id(invocation));
  if (!c.alive) {
    return;
  }
  let s = column_statistics(c);
  let w = column_weight(c);
  var b = vec4<f32>();
  if (HAS_ACTIVATION) {
    b = column_bias(c);
  }
  var mean_g: vec4<f32>;
  var mean_g_xhat: vec4<f32>;
  for (var j = 0u; j < 4u; j++) {
    let one = sums[set_of(c, j)];
    mean_g[j] = one.x;
    mean_g_xhat[j] = one.y;
  }
  for (var p = c.first; p < c.end; p++) {
    let at = place_of(c, p);
    var xhat = vec4<f32>();
    if (NEEDS_X) {
      xhat = centre_columns(load_x(at, c.valid), s) * s.scale;
    }
    var g = upstream(at, c.valid, xhat * w + b) * w;
    if (!FROZEN) {
      g = g - mean_g - xhat * mean_g_xhat;
    }
    store_dx(at, c.valid, s.scale * g * s.unit);
  }
}
