// affine/channel
// needs: params storage
// weight and bias of shape [channels]; a segment holds channels/groups channels of `inner` elements each, and segment s
// is group s % groups.
var<storage, read> weight: array<W>;
var<storage, read> bias: array<W>;

// Whether a quad never straddles two channels (inner is a multiple of four).
override QUAD_IN_CHANNEL: bool = false;

fn channel_at(segment: u32, col: u32) -> u32 {
  return (segment % params.groups) * (params.channels / params.groups) + min(col, params.cols - 1u) / params.inner;
}

fn load_weight(segment: u32, col: u32, valid: u32) -> vec4<f32> {
  if (QUAD_IN_CHANNEL) {
    return vec4<f32>(f32(weight[channel_at(segment, col)]));
  } else {
    return vec4<f32>(
      f32(weight[channel_at(segment, col)]),
      f32(weight[channel_at(segment, col + 1u)]),
      f32(weight[channel_at(segment, col + 2u)]),
      f32(weight[channel_at(segment, col + 3u)]),
    );
  }
}

fn load_bias(segment: u32, col: u32, valid: u32) -> vec4<f32> {
  if (QUAD_IN_CHANNEL) {
    return vec4<f32>(f32(bias[channel_at(segment, col)]));
  } else {
    return vec4<f32>(
      f32(bias[channel_at(segment, col)]),
      f32(bias[channel_at(segment, col + 1u)]),
      f32(bias[channel_at(segment, col + 2u)]),
      f32(bias[channel_at(segment, col + 3u)]),
    );
  }
}
