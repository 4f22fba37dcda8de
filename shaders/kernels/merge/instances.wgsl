// merge/instances
// needs: params set_statistics worker
// Running statistics of InstanceNorm: running = (1 − momentum)·running + momentum·(mean over the batch of the instances'
// statistics), which is the mean of the updates by each instance (torch.nn.functional.instance_norm).
//
// Mapping: a thread per channel.
// Bindings: instances [samples, channels] (mean, variance); mean [samples, channels] (hi, lo); running_mean, running_var
// [channels].
// Numerics: sums about the median of three instances, so that one that lies apart cannot spoil it, in blocks about the
// root of their number long. Determinism: instances are added
// in order.
var<storage, read_write> running_mean: array<f32>;
var<storage, read_write> running_var: array<f32>;
var<storage, read> mean: array<vec2<f32>>;
var<storage, read> instances: array<vec2<f32>>;

// Whether these are the first instances of the batch, whose `count` is.
override FIRST: bool = true;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let channel = thread_id(invocation);
  if (channel >= params.channels) { return; }
  let last = params.samples - 1u;
  let set0 = params.first_set + channel;
  let a = instances[channel];
  let b = instances[last / 2u * params.channels + channel];
  let c = instances[last * params.channels + channel];
  let median = max(min(a, b), min(max(a, b), c));
  // An infinite variance is no pivot.
  let pivot = vec2<f32>(pivot_of(median.x), pivot_of(median.y));
  var total = vec2<f32>();
  var sample = 0u;
  while (sample < params.samples) {
    let stop = min(params.samples, sample + params.block);
    var block = vec2<f32>();
    for (; sample < stop; sample++) {
      // hi + lo: what hi alone has lost shows where the means of instances cancel.
      let m = mean[set0 + sample * params.channels];
      let variance_of_sample = instances[sample * params.channels + channel].y;
      block += vec2<f32>((m.x - pivot.x) + m.y, variance_of_sample - pivot.y);
    }
    total += block;
  }
  let batch = pivot + total / f32(params.samples);
  // A part of the batch counts by its share, and the first one takes away what all replace.
  let take = params.momentum * (f32(params.samples) / params.count);
  let rest = select(1.0, 1.0 - params.momentum, FIRST);
  running_mean[channel] = rest * running_mean[channel] + take * batch.x;
  running_var[channel] = rest * running_var[channel] + take * batch.y;
}

fn pivot_of(value: f32) -> f32 {
  return select(value, 0.0, out_of_range(value));
}
