// channels/backward_apply
// needs: abreast column_statistics columns columns_abreast quad_statistics tensors upstream upstream_abreast worker
// dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), g = dz·weight (dz: shared/upstream.wgsl), for x[samples, rows, cols]
// (shared/columns.wgsl), with the means over each set from merge/sums.wgsl.
//
// Mapping: a thread owns four neighbouring columns and one split of the rows. No barrier.
// Bindings: x, dy, dx; weight, bias [channels]; mean, rstd, sums [samples·groups].
var<storage, read> sums: array<vec4<f32>>;

// As in merge/sums.wgsl: dx = rstd·dz·weight.
override FROZEN: bool = false;
// Whether x̂ is: not where FROZEN meets no activation.
override NEEDS_X: bool = true;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let c = column_of(thread_id(invocation));
  if (!c.in_range) { return; }
  let s = column_statistics(c);
  let w = column_weight(c);
  var b = vec4<f32>();
  if (NEEDS_Z) {
    b = column_bias(c);
  }
  var mean_g: vec4<f32>;
  var slope: vec4<f32>;
  for (var j = 0u; j < 4u; j++) {
    let one = sums[set_of(c, j)];
    mean_g[j] = one.x * s.unit;
    slope[j] = one.y * s.scale[j];
  }
  var p = c.first;
  if (ABREAST) {
    for (; p + AT_ONCE <= c.end; p += AT_ONCE) {
      var v: array<vec4<f32>, AT_ONCE>;
      if (NEEDS_X) {
        v = x_abreast(c, p);
      }
      var u = load_upstream(c, p);
      for (var i = 0u; i < AT_ONCE; i++) {
        if (NEEDS_X) {
          v[i] = centre_columns(v[i], s);
        }
        var g = upstream_from(u.dy[i], u.residual[i], v[i] * s.scale * w + b) * w;
        if (!FROZEN) {
          g = fma(-v[i], slope, g);
        }
        v[i] = s.scale * fma(g, vec4<f32>(s.unit), -mean_g);
      }
      for (var i = 0u; i < AT_ONCE; i++) {
        store_dx(place_of(c, p + i), c.valid, v[i]);
      }
    }
  }
  for (; p < c.end; p++) {
    let at = place_of(c, p);
    var centred = vec4<f32>();
    if (NEEDS_X) {
      centred = centre_columns(load_x(at, c.valid), s);
    }
    var g = upstream(at, c.valid, centred * s.scale * w + b) * w;
    if (!FROZEN) {
      g = fma(-centred, slope, g);
    }
    store_dx(at, c.valid, s.scale * fma(g, vec4<f32>(s.unit), -mean_g));
  }
}
