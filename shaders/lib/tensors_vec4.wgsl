// Tensors of x's shape, four elements a load. The host guarantees that every run starts at a multiple of four
// and that its length is one. A quad is four consecutive elements; `i` is the index of its first.
@group(0) @binding(1) var<storage, read> x: array<X4>;
@group(0) @binding(2) var<storage, read> residual: array<X4>;
@group(0) @binding(5) var<storage, read_write> y: array<X4>;
@group(0) @binding(6) var<storage, read_write> sum: array<X4>;
@group(0) @binding(9) var<storage, read> dy: array<X4>;
@group(0) @binding(10) var<storage, read> dsum: array<X4>;
@group(0) @binding(11) var<storage, read_write> dx: array<X4>;
@group(0) @binding(19) var<storage, read_write> dresidual: array<X4>;

// Where a quad is in its array: a large tensor is walked in parts.
fn at(i: u32) -> u32 {
  return (i + params.first_element) / 4u;
}

// How many elements of a quad lie inside its run.
fn valid_of(remaining: u32) -> u32 {
  return 4u;
}

// Zero where a quad reaches past its run. Sums mask after centring: a masked value must not become −mean.
fn within(valid: u32, v: vec4<f32>) -> vec4<f32> {
  return v;
}

fn load_x(i: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(x[at(i)]);
}

fn load_x_element(i: u32) -> f32 {
  return f32(x[at(i)][i % 4u]);
}

fn load_residual(i: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(residual[at(i)]);
}

fn load_residual_element(i: u32) -> f32 {
  return f32(residual[at(i)][i % 4u]);
}

fn load_dy(i: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(dy[at(i)]);
}

fn load_dy_element(i: u32) -> f32 {
  return f32(dy[at(i)][i % 4u]);
}

fn load_dsum(i: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(dsum[at(i)]);
}

fn store_y(i: u32, valid: u32, v: vec4<f32>) {
  y[at(i)] = X4(v);
}

fn store_sum(i: u32, valid: u32, v: vec4<f32>) {
  sum[at(i)] = X4(v);
}

fn store_dx(i: u32, valid: u32, v: vec4<f32>) {
  dx[at(i)] = X4(v);
}

fn store_dresidual(i: u32, valid: u32, v: vec4<f32>) {
  dresidual[at(i)] = X4(v);
}
