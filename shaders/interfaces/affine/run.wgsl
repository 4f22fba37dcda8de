// affine/run
// needs: affine_map params storage
// weight and bias of shape [channels] where a run is one channel: one of each for the whole run.
var<storage, read> weight: array<W>;
var<storage, read> bias: array<W>;

fn weight_at(run: u32, col: u32, valid: u32) -> vec4<f32> {
  if (HAS_WEIGHT) {
    return vec4<f32>(f32(weight[run % params.channels]));
  } else {
    return vec4<f32>(1.0);
  }
}

fn bias_at(run: u32, col: u32, valid: u32) -> vec4<f32> {
  if (HAS_BIAS) {
    return vec4<f32>(f32(bias[run % params.channels]));
  } else {
    return vec4<f32>();
  }
}
