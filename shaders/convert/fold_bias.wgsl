// convert/fold_bias
// b' = (b − mean)·rstd·weight + bias: the bias of a convolution or linear map with the BatchNorm behind it.
//
// Mapping: a thread per output channel.
// Bindings: all [channels].
// Numerics: f32, one rounding at the store.
@group(0) @binding(2) var<storage, read> linear_bias: array<X>;
@group(0) @binding(3) var<storage, read> weight: array<W>;
@group(0) @binding(4) var<storage, read> bias: array<W>;
@group(0) @binding(6) var<storage, read_write> folded_bias: array<X>;
@group(0) @binding(16) var<storage, read> running_mean: array<f32>;
@group(0) @binding(17) var<storage, read> running_var: array<f32>;

override HAS_LINEAR_BIAS: bool = false;
override HAS_WEIGHT: bool = false;
override HAS_BIAS: bool = false;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let channel = (wid.x + wid.y * grid.x) * WORKGROUP + index;
  if (channel >= params.channels) {
    return;
  }
  var value = -running_mean[channel];
  if (HAS_LINEAR_BIAS) {
    value += f32(linear_bias[channel]);
  }
  value *= inverseSqrt(running_var[channel] + params.eps);
  if (HAS_WEIGHT) {
    value *= f32(weight[channel]);
  }
  if (HAS_BIAS) {
    value += f32(bias[channel]);
  }
  folded_bias[channel] = X(value);
}
