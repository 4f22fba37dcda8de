// reduce/serial
// needs: statistics worker
// One lane per segment: nothing to merge, no barrier. On a software adapter a barrier costs as much as hundreds of loads.
fn reduce(part: Part, worker: Worker) -> Part {
  return part;
}
