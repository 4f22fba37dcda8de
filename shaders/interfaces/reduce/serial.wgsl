// reduce/serial
// needs: statistics
// One lane per segment: nothing to merge, no barrier. On a software adapter a barrier costs as much as hundreds of loads.
fn reduce(part: Part, lane: u32, index: u32) -> Part {
  return part;
}
