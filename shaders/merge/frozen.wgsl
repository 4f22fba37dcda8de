// merge/frozen
// mean and rstd of evaluation: those of the running statistics, for every sample alike.
//
// Mapping: a thread per set, which is a channel of a sample.
// Bindings: running_mean, running_var [channels]; mean [samples, channels] (hi, 0); rstd [samples, channels].
@group(0) @binding(7) var<storage, read_write> mean: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(16) var<storage, read> running_mean: array<f32>;
@group(0) @binding(17) var<storage, read> running_var: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let which = (wid.x + wid.y * grid.x) * WORKGROUP + index;
  if (which >= params.samples * params.channels) {
    return;
  }
  let channel = which % params.channels;
  mean[which] = vec2<f32>(running_mean[channel], 0.0);
  rstd[which] = inverseSqrt(running_var[channel] + params.eps);
}
