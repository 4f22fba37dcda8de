// merge/frozen
// needs: params worker
// mean and rstd of evaluation: those of the running statistics, for every sample alike.
//
// Mapping: a thread per set, which is a channel of a sample.
// Bindings: running_mean, running_var [channels]; mean [samples, channels] (hi, 0); rstd [samples, channels].
var<storage, read_write> mean: array<vec2<f32>>;
var<storage, read_write> rstd: array<f32>;
var<storage, read> running_mean: array<f32>;
var<storage, read> running_var: array<f32>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let which = thread_id(invocation);
  if (which >= params.samples * params.channels) { return; }
  let channel = which % params.channels;
  mean[which] = vec2<f32>(running_mean[channel], 0.0);
  rstd[which] = inverseSqrt(running_var[channel] + params.eps);
}
