// reduce/portable
// needs: statistics worker
// Merges one Part per lane over the LANES lanes of a segment, in workgroup memory; every lane gets the result. The tree is
// fixed, so two runs give the same bits. To be called in uniform control flow.
var<workgroup> scratch: array<Part, WORKGROUP>;

fn reduce(part: Part, worker: Worker) -> Part {
  scratch[worker.index] = part;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (worker.lane < half) {
      scratch[worker.index] = merge(scratch[worker.index], scratch[worker.index + half]);
    }
    workgroupBarrier();
  }
  let total = scratch[worker.index - worker.lane];
  workgroupBarrier();  // before the next call writes scratch
  return total;
}
