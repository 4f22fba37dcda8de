// Running statistics of InstanceNorm: running = (1 − momentum)·running + momentum·(mean over the batch of the instances'
// statistics), which is the mean of the updates by each instance (torch.nn.functional.instance_norm).
//
// Mapping: a thread per channel.
// Bindings: instances [samples, channels] (mean, unbiased variance); running_mean, running_var [channels].
// Numerics: sums about the first instance, in blocks about the root of their number long. Determinism: instances are added
// in order.
@group(0) @binding(16) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(17) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(21) var<storage, read> instances: array<vec2<f32>>;

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
  let pivot = instances[channel];
  var total = vec2<f32>();
  var sample = 0u;
  while (sample < params.samples) {
    let stop = min(params.samples, sample + params.block);
    var block = vec2<f32>();
    for (; sample < stop; sample++) {
      block += instances[sample * params.channels + channel] - pivot;
    }
    total += block;
  }
  let batch = pivot + total / f32(params.samples);
  let f = params.momentum;
  running_mean[channel] = (1.0 - f) * running_mean[channel] + f * batch.x;
  running_var[channel] = (1.0 - f) * running_var[channel] + f * batch.y;
}
