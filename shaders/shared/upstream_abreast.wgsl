// upstream_abreast
// needs: abreast columns columns_abreast upstream
// What shared/upstream.wgsl has of a quad, of neighbouring rows of a thread's columns: first all loads, then one row after the
// other.
struct Upstream {
  dy: array<vec4<f32>, AT_ONCE>,
  residual: array<vec4<f32>, AT_ONCE>,
}

fn load_upstream(c: Column, row: u32) -> Upstream {
  var u: Upstream;
  u.dy = dy_abreast(c, row);
  if (RESIDUAL_AFTER) {
    u.residual = residual_abreast(c, row);
  }
  return u;
}
