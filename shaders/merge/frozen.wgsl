// mean and rstd of evaluation: those of the running statistics.
//
// Mapping: a thread per channel.
// Bindings: running_mean, running_var [channels]; mean [channels] (hi, 0); rstd [channels].
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
  let channel = (wid.x + wid.y * grid.x) * WORKGROUP + index;
  if (channel >= params.channels) {
    return;
  }
  mean[channel] = vec2<f32>(running_mean[channel], 0.0);
  rstd[channel] = inverseSqrt(running_var[channel] + params.eps);
}
