// affine/segment
// needs: affine_map params storage
// weight and bias of shape [channels] where a segment is one channel: one of each for the whole segment.
var<storage, read> weight: array<W>;
var<storage, read> bias: array<W>;

fn weight_at(segment: u32, col: u32, valid: u32) -> vec4<f32> {
  if (HAS_WEIGHT) {
    return vec4<f32>(f32(weight[segment % params.channels]));
  } else {
    return vec4<f32>(1.0);
  }
}

fn bias_at(segment: u32, col: u32, valid: u32) -> vec4<f32> {
  if (HAS_BIAS) {
    return vec4<f32>(f32(bias[segment % params.channels]));
  } else {
    return vec4<f32>();
  }
}
