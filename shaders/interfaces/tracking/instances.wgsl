// tracking/instances
// needs: params set_statistics statistics
// What InstanceNorm's running statistics are made of: the mean and M2 / (n − CORRECTION) of every instance, kept for
// merge/instances.wgsl, which averages over the batch.
var<storage, read_write> instances: array<vec2<f32>>;

override CORRECTION: f32 = 1.0;  // 1: the unbiased variance; 0: the biased one

fn track_statistics(which: u32, s: Statistics, p: Part) {
  instances[which] = vec2<f32>(s.hi / s.unit, variance_of(p, params.count - CORRECTION));
}
