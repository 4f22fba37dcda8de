// tracking/update
// needs: batch_count params set_statistics statistics
// Running statistics of BatchNorm: running = (1 − f)·running + f·batch, with M2 / (n − CORRECTION) of the batch; f is the
// momentum or, cumulative, 1 / num_batches_tracked, which counts this batch already (torch.nn.BatchNorm2d).
var<storage, read_write> running_mean: array<f32>;
var<storage, read_write> running_var: array<f32>;

// Where there is no pass over x to count this batch (merge/joined.wgsl), the thread of channel 0 does. Not beside CUMULATIVE, where all
// threads read the number.
override CUMULATIVE: bool = false;
override CORRECTION: f32 = 1.0;  // 1: the unbiased variance; 0: the biased one

fn track_statistics(which: u32, s: Statistics, p: Part) {
  if (COUNTS) {
    if (which == 0u) {
      count_batch();
    }
  }
  var f = params.momentum;
  if (CUMULATIVE) {
    f = 1.0 / f32(num_batches_tracked[0]);
  }
  running_mean[which] = (1.0 - f) * running_mean[which] + f * (s.hi / s.unit);
  running_var[which] = (1.0 - f) * running_var[which] + f * (variance_of(p, params.count - CORRECTION));
}
