// Tensors of x's shape, element by element: for runs whose length or start is no multiple of four. The arithmetic
// stays four wide; the last quad of a run is masked. A quad is four consecutive elements; `i` is the index of its first.
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read> residual: array<X>;
@group(0) @binding(5) var<storage, read_write> y: array<X>;
@group(0) @binding(6) var<storage, read_write> sum: array<X>;
@group(0) @binding(9) var<storage, read> dy: array<X>;
@group(0) @binding(10) var<storage, read> dsum: array<X>;
@group(0) @binding(11) var<storage, read_write> dx: array<X>;
@group(0) @binding(19) var<storage, read_write> dresidual: array<X>;

// How many elements of a quad lie inside its run.
fn valid_of(remaining: u32) -> u32 {
  return min(remaining, 4u);
}

// Zero where a quad reaches past its run. Sums mask after centring: a masked value must not become −mean.
fn within(valid: u32, v: vec4<f32>) -> vec4<f32> {
  return select(vec4<f32>(), v, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(valid));
}

// Loads past the run repeat its last element, so that a chunk's pivot is always a typical value.
fn indices(i: u32, valid: u32) -> vec4<u32> {
  return min(vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(i + valid - 1u));
}

// Where the elements of a quad are in their array: a large tensor is walked in parts.
fn places(i: u32, valid: u32) -> vec4<u32> {
  return indices(i + params.first_element, valid);
}

fn load_x(i: u32, valid: u32) -> vec4<f32> {
  let at = places(i, valid);
  return vec4<f32>(f32(x[at.x]), f32(x[at.y]), f32(x[at.z]), f32(x[at.w]));
}

fn load_x_element(i: u32) -> f32 {
  return f32(x[i + params.first_element]);
}

fn load_residual(i: u32, valid: u32) -> vec4<f32> {
  let at = places(i, valid);
  return vec4<f32>(f32(residual[at.x]), f32(residual[at.y]), f32(residual[at.z]), f32(residual[at.w]));
}

fn load_residual_element(i: u32) -> f32 {
  return f32(residual[i + params.first_element]);
}

fn load_dy(i: u32, valid: u32) -> vec4<f32> {
  let at = places(i, valid);
  return vec4<f32>(f32(dy[at.x]), f32(dy[at.y]), f32(dy[at.z]), f32(dy[at.w]));
}

fn load_dy_element(i: u32) -> f32 {
  return f32(dy[i + params.first_element]);
}

fn load_dsum(i: u32, valid: u32) -> vec4<f32> {
  let at = places(i, valid);
  return vec4<f32>(f32(dsum[at.x]), f32(dsum[at.y]), f32(dsum[at.z]), f32(dsum[at.w]));
}

fn store_y(i: u32, valid: u32, v: vec4<f32>) {
  let e = X4(v);
  let o = i + params.first_element;
  y[o] = e.x;
  if (valid > 1u) {
    y[o + 1u] = e.y;
  }
  if (valid > 2u) {
    y[o + 2u] = e.z;
  }
  if (valid > 3u) {
    y[o + 3u] = e.w;
  }
}

fn store_sum(i: u32, valid: u32, v: vec4<f32>) {
  let e = X4(v);
  let o = i + params.first_element;
  sum[o] = e.x;
  if (valid > 1u) {
    sum[o + 1u] = e.y;
  }
  if (valid > 2u) {
    sum[o + 2u] = e.z;
  }
  if (valid > 3u) {
    sum[o + 3u] = e.w;
  }
}

fn store_dx(i: u32, valid: u32, v: vec4<f32>) {
  let e = X4(v);
  let o = i + params.first_element;
  dx[o] = e.x;
  if (valid > 1u) {
    dx[o + 1u] = e.y;
  }
  if (valid > 2u) {
    dx[o + 2u] = e.z;
  }
  if (valid > 3u) {
    dx[o + 3u] = e.w;
  }
}

fn store_dresidual(i: u32, valid: u32, v: vec4<f32>) {
  let e = X4(v);
  let o = i + params.first_element;
  dresidual[o] = e.x;
  if (valid > 1u) {
    dresidual[o + 1u] = e.y;
  }
  if (valid > 2u) {
    dresidual[o + 2u] = e.z;
  }
  if (valid > 3u) {
    dresidual[o + 3u] = e.w;
  }
}
