// tensors/scalar
// needs: in_place params storage
// Tensors of x's shape, element by element: for segments whose length or start is no multiple of four. The arithmetic
// stays four wide; the last quad of a segment is masked. A quad is four consecutive elements; `at` is its place.
var<storage, read> x: array<X>;
var<storage, read> residual: array<X>;
var<storage, read_write> y: array<X>;
var<storage, read_write> sum: array<X>;
var<storage, read> dy: array<X>;
var<storage, read> dsum: array<X>;
var<storage, read_write> dx: array<X>;
var<storage, read_write> dresidual: array<X>;

// How many elements of a quad lie inside its segment.
fn valid_of(remaining: u32) -> u32 {
  return min(remaining, 4u);
}

// Zero where a quad reaches past its segment. Sums mask after centring: a masked value must not become −mean.
fn within(valid: u32, v: vec4<f32>) -> vec4<f32> {
  return select(vec4<f32>(), v, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(valid));
}

// Loads past the segment repeat its last element, so that a chunk's pivot is always a typical value.
fn indices(i: u32, valid: u32) -> vec4<u32> {
  return min(vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(i + valid - 1u));
}

// Where element i is in its array, and a quad that begins with it: a large tensor is walked in parts.
fn place(i: u32) -> u32 {
  return i + params.first_element;
}

// The place of quad q of a segment whose first is at `start`.
fn quad_at(start: u32, q: u32) -> u32 {
  return start + 4u * q;
}

fn load_x(at: u32, valid: u32) -> vec4<f32> {
  if (X_IS_Y) {
    return load_y(at, valid);
  } else if (X_IS_SUM) {
    return load_sum(at, valid);
  } else {
    let e = indices(at, valid);
    return vec4<f32>(f32(x[e.x]), f32(x[e.y]), f32(x[e.z]), f32(x[e.w]));
  }
}

fn load_x_element(i: u32) -> f32 {
  let at = place(i);
  if (X_IS_Y) {
    return f32(y[at]);
  } else if (X_IS_SUM) {
    return f32(sum[at]);
  } else {
    return f32(x[at]);
  }
}

fn load_residual(at: u32, valid: u32) -> vec4<f32> {
  if (RESIDUAL_IS_Y) {
    return load_y(at, valid);
  } else if (RESIDUAL_IS_SUM) {
    return load_sum(at, valid);
  } else {
    let e = indices(at, valid);
    return vec4<f32>(f32(residual[e.x]), f32(residual[e.y]), f32(residual[e.z]), f32(residual[e.w]));
  }
}

fn load_y(at: u32, valid: u32) -> vec4<f32> {
  let e = indices(at, valid);
  return vec4<f32>(f32(y[e.x]), f32(y[e.y]), f32(y[e.z]), f32(y[e.w]));
}

fn load_sum(at: u32, valid: u32) -> vec4<f32> {
  let e = indices(at, valid);
  return vec4<f32>(f32(sum[e.x]), f32(sum[e.y]), f32(sum[e.z]), f32(sum[e.w]));
}

fn load_dy(at: u32, valid: u32) -> vec4<f32> {
  let e = indices(at, valid);
  return vec4<f32>(f32(dy[e.x]), f32(dy[e.y]), f32(dy[e.z]), f32(dy[e.w]));
}

fn load_dsum(at: u32, valid: u32) -> vec4<f32> {
  let e = indices(at, valid);
  return vec4<f32>(f32(dsum[e.x]), f32(dsum[e.y]), f32(dsum[e.z]), f32(dsum[e.w]));
}

fn store_y(at: u32, valid: u32, v: vec4<f32>) {
  let e = X4(v);
  y[at] = e.x;
  if (valid > 1u) {
    y[at + 1u] = e.y;
  }
  if (valid > 2u) {
    y[at + 2u] = e.z;
  }
  if (valid > 3u) {
    y[at + 3u] = e.w;
  }
}

fn store_sum(at: u32, valid: u32, v: vec4<f32>) {
  let e = X4(v);
  sum[at] = e.x;
  if (valid > 1u) {
    sum[at + 1u] = e.y;
  }
  if (valid > 2u) {
    sum[at + 2u] = e.z;
  }
  if (valid > 3u) {
    sum[at + 3u] = e.w;
  }
}

fn store_dx(at: u32, valid: u32, v: vec4<f32>) {
  let e = X4(v);
  dx[at] = e.x;
  if (valid > 1u) {
    dx[at + 1u] = e.y;
  }
  if (valid > 2u) {
    dx[at + 2u] = e.z;
  }
  if (valid > 3u) {
    dx[at + 3u] = e.w;
  }
}

fn store_dresidual(at: u32, valid: u32, v: vec4<f32>) {
  let e = X4(v);
  dresidual[at] = e.x;
  if (valid > 1u) {
    dresidual[at + 1u] = e.y;
  }
  if (valid > 2u) {
    dresidual[at + 2u] = e.z;
  }
  if (valid > 3u) {
    dresidual[at + 3u] = e.w;
  }
}
