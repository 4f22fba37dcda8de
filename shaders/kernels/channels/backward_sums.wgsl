// channels/backward_sums
// needs: abreast column_statistics columns columns_abreast params quad_statistics tensors upstream upstream_abreast worker
// Partial Σdz and Σdz·x̂ per column of x[samples, rows, cols] (shared/columns.wgsl), rows divided into splits; dz is dy, or
// dy·activation'(z) (shared/upstream.wgsl). The same partials make dweight and dbias (merge/gradients.wgsl) and what dx
// needs (merge/sums.wgsl).
//
// Mapping: a thread owns four neighbouring columns and one split of the rows. No barrier.
// Bindings: x, dy, residual, dresidual; weight, bias [channels]; mean [samples·groups] (hi, lo); rstd [samples·groups];
// partials [samples, splits, cols].
// Numerics: centred sums, in blocks about the root of their number long. Determinism: one writer per partial.
var<storage, read_write> partials: array<vec2<f32>>;

const CHUNK = 16u;  // rows in a chunk
// As in channels/statistics.wgsl.
override BLOCKS: bool = true;
// Whether a split is so short that its rows are added up one after the other, without chunks.
override ONE_CHUNK: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let c = column_of(thread_id(invocation));
  if (!c.in_range) { return; }
  let s = column_statistics(c);
  var w = vec4<f32>(1.0);
  var b = vec4<f32>();
  if (NEEDS_Z) {
    w = column_weight(c);
    b = column_bias(c);
  }
  var sum_dz = vec4<f32>();
  var sum_dz_xhat = vec4<f32>();
  var some_dz = vec4<f32>();
  var some_dz_xhat = vec4<f32>();
  var merged = 0u;
  var p = c.first;
  while (p < c.end) {
    let stop = select(min(c.end, p + CHUNK), c.end, ONE_CHUNK);
    var block_dz = vec4<f32>();
    var block_dz_xhat = vec4<f32>();
    if (ABREAST) {
      for (; p + AT_ONCE <= stop; p += AT_ONCE) {
        var v = x_abreast(c, p);
        var u = load_upstream(c, p);
        for (var i = 0u; i < AT_ONCE; i++) {
          v[i] = centre_columns(v[i], s) * s.scale;
          let z = v[i] * w + b;
          let dz = upstream_from(u.dy[i], u.residual[i], z);
          block_dz += dz;
          block_dz_xhat += dz * v[i];
          if (STORES_DRESIDUAL) {
            u.dy[i] = gradient_of_residual(u.dy[i], u.residual[i], z, dz);
          }
        }
        if (STORES_DRESIDUAL) {
          for (var i = 0u; i < AT_ONCE; i++) {
            store_dresidual(place_of(c, p + i), c.valid, u.dy[i]);
          }
        }
      }
    }
    for (; p < stop; p++) {
      let at = place_of(c, p);
      let xhat = centre_columns(load_x(at, c.valid), s) * s.scale;
      let dz = upstream(at, c.valid, xhat * w + b);
      block_dz += dz;
      block_dz_xhat += dz * xhat;
    }
    if (ONE_CHUNK) {
      sum_dz = block_dz;
      sum_dz_xhat = block_dz_xhat;
    } else if (BLOCKS) {
      some_dz += block_dz;
      some_dz_xhat += block_dz_xhat;
      merged += 1u;
      if (merged == params.block) {
        sum_dz += some_dz;
        sum_dz_xhat += some_dz_xhat;
        some_dz = vec4<f32>();
        some_dz_xhat = vec4<f32>();
        merged = 0u;
      }
    } else {
      sum_dz += block_dz;
      sum_dz_xhat += block_dz_xhat;
    }
  }
  if (BLOCKS) {
    sum_dz += some_dz;
    sum_dz_xhat += some_dz_xhat;
  }
  let at = c.partial;
  for (var j = 0u; j < c.valid; j++) {
    partials[at + j] = vec2<f32>(sum_dz[j], sum_dz_xhat[j]);
  }
}
