// affine/segment
// needs: params storage
// weight and bias of shape [channels] where a segment is one channel: one of each for the whole segment.
var<storage, read> weight: array<W>;
var<storage, read> bias: array<W>;

fn first_parameter(segment: u32) -> u32 {
  return segment % params.channels;
}

fn load_weight(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(w_element(weight[w_entry(start)], start));
}

fn load_bias(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(w_element(bias[w_entry(start)], start));
}
