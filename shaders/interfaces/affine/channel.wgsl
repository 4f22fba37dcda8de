// affine/channel
// needs: params storage
// weight and bias of shape [channels]; a segment holds channels/groups channels of `inner` elements each, and segment s
// is group s % groups.
var<storage, read> weight: array<W>;
var<storage, read> bias: array<W>;

// Whether a quad never straddles two channels (inner is a multiple of four).
override QUAD_IN_CHANNEL: bool = false;
// Whether a segment has at most 2^20 columns.
override FEW_COLUMNS: bool = false;

fn first_parameter(segment: u32) -> u32 {
  return segment % params.groups * (params.channels / params.groups);
}

// col / inner, for each quad in a loop. Below 2^20 columns a float multiplication gives the same, half an integer being more than
// what it rounds by, and GPUs make some twenty instructions of an integer division.
fn channel_at(start: u32, col: u32) -> u32 {
  let inside = min(col, params.cols - 1u);
  if (FEW_COLUMNS) {
    return start + u32((f32(inside) + 0.5) * (1.0 / f32(params.inner)));
  } else {
    return start + inside / params.inner;
  }
}

fn weight_of(channel: u32) -> f32 {
  return w_element(weight[w_entry(channel)], channel);
}

fn bias_of(channel: u32) -> f32 {
  return w_element(bias[w_entry(channel)], channel);
}

fn load_weight(start: u32, col: u32, valid: u32) -> vec4<f32> {
  if (QUAD_IN_CHANNEL) {
    return vec4<f32>(weight_of(channel_at(start, col)));
  } else {
    return vec4<f32>(
      weight_of(channel_at(start, col)),
      weight_of(channel_at(start, col + 1u)),
      weight_of(channel_at(start, col + 2u)),
      weight_of(channel_at(start, col + 3u)),
    );
  }
}

fn load_bias(start: u32, col: u32, valid: u32) -> vec4<f32> {
  if (QUAD_IN_CHANNEL) {
    return vec4<f32>(bias_of(channel_at(start, col)));
  } else {
    return vec4<f32>(
      bias_of(channel_at(start, col)),
      bias_of(channel_at(start, col + 1u)),
      bias_of(channel_at(start, col + 2u)),
      bias_of(channel_at(start, col + 3u)),
    );
  }
}
