// affine/column_scalar
// needs: grouped storage tensors
// weight and bias of shape [cols], or [groups, cols]: one per column of the segment, for segments that are not aligned to four.
var<storage, read> weight: array<W>;
var<storage, read> bias: array<W>;

fn first_parameter(segment: u32) -> u32 {
  return first_of_set(segment);
}

fn weight_of(i: u32) -> f32 {
  return w_element(weight[w_entry(i)], i);
}

fn bias_of(i: u32) -> f32 {
  return w_element(bias[w_entry(i)], i);
}

fn load_weight(start: u32, col: u32, valid: u32) -> vec4<f32> {
  let at = indices(start + col, valid);
  return vec4<f32>(weight_of(at.x), weight_of(at.y), weight_of(at.z), weight_of(at.w));
}

fn load_bias(start: u32, col: u32, valid: u32) -> vec4<f32> {
  let at = indices(start + col, valid);
  return vec4<f32>(bias_of(at.x), bias_of(at.y), bias_of(at.z), bias_of(at.w));
}
