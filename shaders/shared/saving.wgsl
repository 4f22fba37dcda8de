// saving
// needs: set_statistics statistics
// Stores the statistics of a set, unless no backward pass will ask for them.
override SAVES: bool = true;

fn save_for_backward(which: u32, s: Statistics) {
  if (SAVES) {
    save(which, s);
  }
}
