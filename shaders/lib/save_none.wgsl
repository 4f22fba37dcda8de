// save_none
// The statistics of a set are not stored: no backward pass will ask for them.
fn save_wanted(which: u32, s: Statistics) {
}
