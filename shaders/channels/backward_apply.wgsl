// channels/backward_apply
// dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), g = dz·weight (dz: lib/upstream*.wgsl), for x[samples, rows, cols]
// (lib/columns.wgsl), with the means over each set from merge/sums.wgsl.
//
// Mapping: a thread owns four neighbouring columns and one slot of the rows. No barrier.
// Bindings: x, dy, dx; weight, bias [channels]; mean, rstd, sums [samples·groups].
@group(0) @binding(13) var<storage, read> sums: array<vec4<f32>>;

// As in merge/sums.wgsl: dx = rstd·dz·weight.
override FROZEN: bool = false;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let c = column_of((wid.x + wid.y * grid.x) * WORKGROUP + index);
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
    if (!FROZEN || HAS_ACTIVATION) {
      xhat = centre_columns(load_x(at, c.valid), s) * s.scale;
    }
    var g = upstream(at, c.valid, xhat * w + b) * w;
    if (!FROZEN) {
      g = g - mean_g - xhat * mean_g_xhat;
    }
    store_dx(at, c.valid, s.scale * g * s.unit);
  }
}
