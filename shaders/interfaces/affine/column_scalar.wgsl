// affine/column_scalar
// needs: grouped storage tensors
// weight and bias of shape [cols], or [groups, cols]: one per column of the segment, for segments that are not aligned to four.
var<storage, read> weight: array<W>;
var<storage, read> bias: array<W>;

fn first_parameter(segment: u32) -> u32 {
  return first_of_set(segment);
}

fn load_weight(start: u32, col: u32, valid: u32) -> vec4<f32> {
  let at = indices(start + col, valid);
  return vec4<f32>(f32(weight[at.x]), f32(weight[at.y]), f32(weight[at.z]), f32(weight[at.w]));
}

fn load_bias(start: u32, col: u32, valid: u32) -> vec4<f32> {
  let at = indices(start + col, valid);
  return vec4<f32>(f32(bias[at.x]), f32(bias[at.y]), f32(bias[at.z]), f32(bias[at.w]));
}
