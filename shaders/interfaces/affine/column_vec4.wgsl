// affine/column_vec4
// needs: grouped storage
// weight and bias of shape [cols], or [groups, cols]: one per column of the segment, four a load.
var<storage, read> weight: array<W4>;
var<storage, read> bias: array<W4>;

fn first_parameter(segment: u32) -> u32 {
  return first_of_set(segment);
}

fn load_weight(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return w_quad(weight[(start + col) >> 2u]);
}

fn load_bias(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return w_quad(bias[(start + col) >> 2u]);
}
