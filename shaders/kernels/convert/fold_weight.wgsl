// convert/fold_weight
// needs: params storage worker
// W' = W·weight·rstd per output channel: the weights of a convolution or linear map with the BatchNorm behind it.
//
// Mapping: a thread per element. W is `rows` segments of `cols` elements, a segment an output channel of one input
// channel or of all; `channels` segments follow each other before the next input channel, and `positions` input channels
// make a group.
// Bindings: linear_weight, folded_weight [rows, cols]; weight, running_var [output channels].
// Numerics: f32, one rounding at the store.
var<storage, read> linear_weight: array<X>;
var<storage, read> weight: array<W>;
var<storage, read_write> folded_weight: array<SHARED_X>;
var<storage, read> running_var: array<f32>;

override HAS_WEIGHT: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let i = thread_id(invocation);
  if (i >= params.rows * params.cols) { return; }
  let segment = params.first_set + i / params.cols;
  let group = segment / params.channels / params.positions;
  let channel = group * params.channels + segment % params.channels;
  var scale = inverseSqrt(running_var[channel] + params.eps);
  if (HAS_WEIGHT) {
    scale *= w_element(weight[w_entry(channel)], channel);
  }
  let at = i + params.first_element;
  let folded = x_element(linear_weight[x_entry(at)], at) * scale;
  if (X_PACKED) {
    atomicAnd(&folded_weight[x_entry(at)], other_half(at));
    atomicOr(&folded_weight[x_entry(at)], half_word(x_words(vec4<f32>(folded)), at));
  } else {
    folded_weight[at] = X(folded);
  }
}
