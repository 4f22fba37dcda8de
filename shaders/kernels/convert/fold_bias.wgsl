// convert/fold_bias
// needs: params storage worker
// b' = (b − mean)·rstd·weight + bias: the bias of a convolution or linear map with the BatchNorm behind it.
//
// Mapping: a thread per output channel.
// Bindings: all [channels].
// Numerics: f32, one rounding at the store.
var<storage, read> linear_bias: array<X>;
var<storage, read> weight: array<W>;
var<storage, read> bias: array<W>;
var<storage, read_write> folded_bias: array<SHARED_X>;
var<storage, read> running_mean: array<f32>;
var<storage, read> running_var: array<f32>;

override HAS_LINEAR_BIAS: bool = false;
override HAS_WEIGHT: bool = false;
override HAS_BIAS: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let channel = thread_id(invocation);
  if (channel >= params.channels) { return; }
  var value = -running_mean[channel];
  if (HAS_LINEAR_BIAS) {
    value += x_element(linear_bias[x_entry(channel)], channel);
  }
  value *= inverseSqrt(running_var[channel] + params.eps);
  if (HAS_WEIGHT) {
    value *= w_element(weight[w_entry(channel)], channel);
  }
  if (HAS_BIAS) {
    value += w_element(bias[w_entry(channel)], channel);
  }
  if (X_PACKED) {
    atomicAnd(&folded_bias[x_entry(channel)], other_half(channel));
    atomicOr(&folded_bias[x_entry(channel)], half_word(x_words(vec4<f32>(value)), channel));
  } else {
    folded_bias[channel] = X(value);
  }
}
