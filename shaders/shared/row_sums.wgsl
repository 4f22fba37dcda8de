// row_sums
// needs: saturation saved_statistics set_statistics
// What dx of a row is made with: the means of g and g·x̂, and the row's statistics (merge/sums.wgsl).
var<storage, read> sums: array<vec4<f32>>;

// Whether sums holds the mean of x, too: for a kernel that has no binding left for it.
override JOINT: bool = false;

struct RowSums {
  mean_g: f32,
  mean_g_xhat: f32,
  s: Statistics,
}

fn sums_of_row(row: u32) -> RowSums {
  if (SATURATES) {
    return RowSums(0.0, 0.0, saved(row));
  } else if (JOINT) {
    return joint_sums(sums[2u * row], sums[2u * row + 1u]);
  } else {
    let first = sums[row];
    return RowSums(first.x, first.y, saved_mean(row, first.z, first.w));
  }
}

// From (mean(g), mean(g·x̂), scale, unit) and (hi, lo, 0, 0).
fn joint_sums(first: vec4<f32>, m: vec4<f32>) -> RowSums {
  return RowSums(first.x, first.y, Statistics(m.x, m.y, first.z, first.w, first.z * first.w));
}

fn gradient_of_x(centred: vec4<f32>, g: vec4<f32>, means: RowSums) -> vec4<f32> {
  if (SATURATES) {
    return g * means.s.scale * saturated_slope(centred * means.s.scale);
  } else {
    var slope = vec4<f32>(means.s.scale * means.mean_g_xhat);
    if (LIMITED) {
      slope = unless_limited(slope, vec4<f32>(means.s.scale), means.s.unit);
    }
    var out = fma(-centred, slope, g) * means.s.unit;
    if (HAS_MEAN) {
      out -= means.mean_g * means.s.unit;
    }
    return out * means.s.scale;
  }
}
