// variance
// The variance of every set that y was made with: M2 / n itself, not what rstd, which has eps in it, leaves of it.
@group(0) @binding(30) var<storage, read_write> variance: array<f32>;

fn keep_variance(which: u32, p: Part) {
  variance[params.first_set + which] = spread(p, params.count);
}
