// upstream_abreast
// needs: abreast activation columns columns_abreast upstream
// What shared/upstream.wgsl has of a quad, of neighbouring rows of a thread's columns: first all loads, then one row after the
// other.
struct Upstream {
  dy: array<vec4<f32>, AT_ONCE>,
  residual: array<vec4<f32>, AT_ONCE>,
}

fn load_upstream(c: Column, row: u32) -> Upstream {
  var u: Upstream;
  u.dy = dy_abreast(c, row);
  if (HAS_ACTIVATION) {
    if (RESIDUAL_AFTER) {
      u.residual = residual_abreast(c, row);
    }
  }
  return u;
}

// From what is there already; the kernel itself stores dresidual.
fn upstream_from(dy_there: vec4<f32>, residual_there: vec4<f32>, z: vec4<f32>) -> vec4<f32> {
  if (HAS_ACTIVATION) {
    if (RESIDUAL_AFTER) {
      return dy_there * derivative(z + residual_there);
    } else {
      return dy_there * derivative(z);
    }
  } else {
    return dy_there;
  }
}
