// affine/carried
// needs: params
// given by the kernel: partials
// weight and bias of shape [channels] where a segment is one channel, behind the partials of statistics (n, mean − k, M2, k):
// rows/statistics.wgsl has put them there for a kernel that has no bindings left for them.
fn first_parameter(segment: u32) -> u32 {
  return segment % params.channels;
}

fn load_weight(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(partials[params.carried + start].x);
}

fn load_bias(start: u32, col: u32, valid: u32) -> vec4<f32> {
  return vec4<f32>(partials[params.carried + start].y);
}
