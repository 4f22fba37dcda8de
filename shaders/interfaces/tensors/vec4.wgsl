// tensors/vec4
// needs: in_place params storage strides
// Tensors of x's shape, four elements a load. The host guarantees that every segment starts at a multiple of four
// and that its length is one. A quad is four consecutive elements; `at` is its place, which a kernel asks for once: a
// software adapter does not see that two loads compute the same.
var<storage, read> x: array<X4>;
var<storage, read> residual: array<X4>;
var<storage, read_write> y: array<Y4>;
var<storage, read_write> sum: array<X4>;
var<storage, read> dy: array<Y4>;
var<storage, read> dsum: array<X4>;
var<storage, read_write> dx: array<X4>;
var<storage, read_write> dresidual: array<X4>;

// Where the quad that begins with element i is in its array: a large tensor is walked in parts. A shift, since SwiftShader
// divides where a GPU's compiler shifts: LayerNorm at 4096×1024 takes a tenth longer with / 4u.
fn place(i: u32) -> u32 {
  return (i + params.first_element) >> 2u;
}

// The place of quad q of a segment whose first is at `start`.
fn quad_at(start: u32, q: u32) -> u32 {
  return start + q;
}

// How many elements of a quad lie inside its segment.
fn valid_of(remaining: u32) -> u32 {
  return 4u;
}

// Zero where a quad reaches past its segment. Sums mask after centring: a masked value must not become −mean.
fn within(valid: u32, v: vec4<f32>) -> vec4<f32> {
  return v;
}

fn load_x(at: u32, valid: u32) -> vec4<f32> {
  if (X_IS_SUM) {
    return load_sum(at, valid);
  } else if (X_IS_Y) {
    return load_y(at, valid);
  } else if (X_IS_DX) {
    return load_dx(at, valid);
  } else if (X_STRIDED) {
    return x_quad(x[strided(at, X_LAYOUT)]);
  } else {
    return x_quad(x[at]);
  }
}

fn load_x_element(i: u32) -> f32 {
  return load_x(place(i), 4u)[i % 4u];
}

fn load_residual(at: u32, valid: u32) -> vec4<f32> {
  if (RESIDUAL_IS_SUM) {
    return load_sum(at, valid);
  } else if (RESIDUAL_IS_Y) {
    return load_y(at, valid);
  } else if (RESIDUAL_STRIDED) {
    return x_quad(residual[strided(at, RESIDUAL_LAYOUT)]);
  } else {
    return x_quad(residual[at]);
  }
}

fn load_y(at: u32, valid: u32) -> vec4<f32> {
  if (Y_STRIDED) {
    return y_quad(y[strided(at, Y_LAYOUT)]);
  } else {
    return y_quad(y[at]);
  }
}

fn load_sum(at: u32, valid: u32) -> vec4<f32> {
  if (SUM_STRIDED) {
    return x_quad(sum[strided(at, SUM_LAYOUT)]);
  } else {
    return x_quad(sum[at]);
  }
}

fn load_dx(at: u32, valid: u32) -> vec4<f32> {
  if (DX_STRIDED) {
    return x_quad(dx[strided(at, DX_LAYOUT)]);
  } else {
    return x_quad(dx[at]);
  }
}

fn load_dy(at: u32, valid: u32) -> vec4<f32> {
  if (DY_IS_DX) {
    return load_dx(at, valid);
  } else if (DY_STRIDED) {
    return y_quad(dy[strided(at, DY_LAYOUT)]);
  } else {
    return y_quad(dy[at]);
  }
}

fn load_dy_element(i: u32) -> f32 {
  return load_dy(place(i), 4u)[i % 4u];
}

fn load_dsum(at: u32, valid: u32) -> vec4<f32> {
  if (DSUM_IS_DX) {
    return load_dx(at, valid);
  } else if (DSUM_STRIDED) {
    return x_quad(dsum[strided(at, DSUM_LAYOUT)]);
  } else {
    return x_quad(dsum[at]);
  }
}

fn store_y(at: u32, valid: u32, v: vec4<f32>) {
  if (Y_STRIDED) {
    y[strided(at, Y_LAYOUT)] = rounded_y(v);
  } else {
    y[at] = rounded_y(v);
  }
}

fn store_sum(at: u32, valid: u32, v: vec4<f32>) {
  if (SUM_STRIDED) {
    sum[strided(at, SUM_LAYOUT)] = rounded_x(v);
  } else {
    sum[at] = rounded_x(v);
  }
}

fn store_dx(at: u32, valid: u32, v: vec4<f32>) {
  if (DX_STRIDED) {
    dx[strided(at, DX_LAYOUT)] = rounded_x(v);
  } else {
    dx[at] = rounded_x(v);
  }
}

fn store_dresidual(at: u32, valid: u32, v: vec4<f32>) {
  if (DRESIDUAL_STRIDED) {
    dresidual[strided(at, DRESIDUAL_LAYOUT)] = rounded_x(v);
  } else {
    dresidual[at] = rounded_x(v);
  }
}
