// affine_column_vec4
// weight and bias of shape [cols]: one per column of the run, four a load.
@group(0) @binding(3) var<storage, read> weight: array<W4>;
@group(0) @binding(4) var<storage, read> bias: array<W4>;

fn weight_at(row: u32, col: u32, valid: u32) -> vec4<f32> {
  if (HAS_WEIGHT) {
    return vec4<f32>(weight[col >> 2u]) + WEIGHT_OFFSET;
  }
  return vec4<f32>(1.0);
}

fn bias_at(row: u32, col: u32, valid: u32) -> vec4<f32> {
  if (HAS_BIAS) {
    return vec4<f32>(bias[col >> 2u]);
  }
  return vec4<f32>();
}
