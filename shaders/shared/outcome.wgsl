// outcome
// needs: params set_statistics statistics tracking
// What becomes of the statistics of a set when all its parts are merged: they are stored, running statistics move, and the
// variance that y was made with is kept: M2 / n itself, not what rstd, which has eps in it, leaves of it.
override TRACKS: bool = false;
override HAS_VARIANCE: bool = false;

var<storage, read_write> variance: array<f32>;

fn store_outcome(which: u32, s: Statistics, p: Part) {
  save(which, s);
  follow_up(which, s, p);
}

// The same but for mean and rstd.
fn follow_up(which: u32, s: Statistics, p: Part) {
  if (TRACKS) {
    track_statistics(which, s, p);
  }
  if (HAS_VARIANCE) {
    variance[params.first_set + which] = variance_of(p, params.count);
  }
}
