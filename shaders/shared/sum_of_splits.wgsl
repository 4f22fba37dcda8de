// sum_of_splits
// needs: abreast params reduce statistics worker
// given by the kernel: partials
// The sum of the partials of a worker's channel [splits, channels, inner], in two levels and in a fixed order: lane l
// adds splits l, l + LANES, …
fn sum_of_splits(worker: Worker) -> Part {
  var total = Part();
  var split = worker.lane;
  while (split < params.splits) {
    let stop = min(params.splits, split + params.block * LANES);
    var block = Part();
    if (ABREAST) {
      for (; split < stop; split += AT_ONCE * LANES) {
        for (var i = 0u; i < params.inner; i++) {
          var some: array<Part, AT_ONCE>;
          for (var n = 0u; n < AT_ONCE; n++) {
            let other = split + n * LANES;
            let at = (min(other, params.splits - 1u) * params.channels + worker.id) * params.inner + i;
            some[n] = select(Part(), partials[at], other < params.splits);
          }
          for (var n = 0u; n < AT_ONCE; n++) {
            block += some[n];
          }
        }
      }
    } else {
      for (; split < stop; split += LANES) {
        let first = (split * params.channels + worker.id) * params.inner;
        for (var i = 0u; i < params.inner; i++) {
          block += partials[first + i];
        }
      }
    }
    total += block;
  }
  return reduce(total, worker);
}
