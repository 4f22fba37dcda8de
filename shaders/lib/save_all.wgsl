// save_all
// The statistics of a set are stored, for a backward pass.
fn save_wanted(which: u32, s: Statistics) {
  save(which, s);
}
