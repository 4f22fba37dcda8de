// affine/column_vec4
// needs: affine_map storage
// weight and bias of shape [cols]: one per column of the segment, four a load.
var<storage, read> weight: array<W4>;
var<storage, read> bias: array<W4>;

fn weight_at(row: u32, col: u32, valid: u32) -> vec4<f32> {
  if (HAS_WEIGHT) {
    return vec4<f32>(weight[col >> 2u]) + WEIGHT_OFFSET;
  } else {
    return vec4<f32>(1.0);
  }
}

fn bias_at(row: u32, col: u32, valid: u32) -> vec4<f32> {
  if (HAS_BIAS) {
    return vec4<f32>(bias[col >> 2u]);
  } else {
    return vec4<f32>();
  }
}
