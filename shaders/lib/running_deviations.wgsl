// running_deviations
// What other replicas need of this one's statistics beside the mean: the sum of squared deviations from it.
@group(0) @binding(23) var<storage, read_write> deviations: array<f32>;

fn track(which: u32, s: Statistics, m2: f32) {
  deviations[params.first_set + which] = m2;
}
