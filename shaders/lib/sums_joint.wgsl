// sums_joint
// What dx of a row is made with, all in one array (merge/sums.wgsl with JOINT): for a kernel that has no binding left for two.
@group(0) @binding(13) var<storage, read> sums: array<vec4<f32>>;

struct Known {
  mean_g: f32,
  mean_g_xhat: f32,
  s: Statistics,
}

fn known_of(row: u32) -> Known {
  let known = sums[2u * row];
  let m = sums[2u * row + 1u];
  return Known(known.x, known.y, Statistics(m.x, m.y, known.z, known.w, known.z * known.w));
}
