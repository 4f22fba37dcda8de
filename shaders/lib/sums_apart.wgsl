// sums_apart
// What dx of a row is made with: its sums in one array, its mean in another.
@group(0) @binding(13) var<storage, read> sums: array<vec4<f32>>;

struct Known {
  mean_g: f32,
  mean_g_xhat: f32,
  s: Statistics,
}

fn known_of(row: u32) -> Known {
  let known = sums[row];
  return Known(known.x, known.y, saved_mean(row, known.z, known.w));
}
