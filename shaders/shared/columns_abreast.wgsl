// columns_abreast
// needs: abreast columns tensors
// Neighbouring rows of a thread's columns, from `row` on, all asked for at once (shared/abreast.wgsl).
fn x_abreast(c: Column, row: u32) -> array<vec4<f32>, AT_ONCE> {
  var v: array<vec4<f32>, AT_ONCE>;
  for (var i = 0u; i < AT_ONCE; i++) {
    v[i] = load_x(place_of(c, row + i), c.valid);
  }
  return v;
}

fn residual_abreast(c: Column, row: u32) -> array<vec4<f32>, AT_ONCE> {
  var v: array<vec4<f32>, AT_ONCE>;
  for (var i = 0u; i < AT_ONCE; i++) {
    v[i] = load_residual(place_of(c, row + i), c.valid);
  }
  return v;
}

fn dy_abreast(c: Column, row: u32) -> array<vec4<f32>, AT_ONCE> {
  var v: array<vec4<f32>, AT_ONCE>;
  for (var i = 0u; i < AT_ONCE; i++) {
    v[i] = load_dy(place_of(c, row + i), c.valid);
  }
  return v;
}
