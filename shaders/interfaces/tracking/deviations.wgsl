// tracking/deviations
// needs: params set_statistics statistics
// What other replicas need of this one's statistics beside the mean: the biased standard deviation, which f32 has room
// for whatever x is.
var<storage, read_write> deviations: array<f32>;

fn track_statistics(which: u32, s: Statistics, p: Part) {
  deviations[params.first_set + which] = deviation(p);
}
