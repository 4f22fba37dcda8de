// saving
// needs: set_statistics statistics
// Stores the statistics of a set, unless no backward pass will ask for them.
override SAVES: bool = true;

fn save_for_backward(lane: u32, which: u32, s: Statistics) {
  if (SAVES) {
    if (lane == 0u) {
      save(which, s);
    }
  }
}
