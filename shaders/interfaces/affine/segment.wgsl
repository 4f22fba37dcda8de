// affine/segment
// needs: params storage
// weight and bias of shape [channels] where a segment is one channel: one of each for the whole segment.
var<storage, read> weight: array<W>;
var<storage, read> bias: array<W>;

fn load_weight(segment: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(f32(weight[segment % params.channels]));
}

fn load_bias(segment: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(f32(bias[segment % params.channels]));
}
