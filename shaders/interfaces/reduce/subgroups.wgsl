// reduce/subgroups
// needs: statistics worker
// Merges one Part per lane over the LANES lanes of a segment, by subgroup shuffles, then over subgroups in workgroup
// memory; every lane gets the result. The order is fixed, so two runs give the same bits. To be called in uniform
// control flow.
//
// The host guarantees that SUBGROUP divides every subgroup size that the device may choose; like every 1-D kernel
// that shuffles, this relies on lanes of a subgroup having consecutive local indices.
override SUBGROUP: u32 = 32u;

var<workgroup> scratch: array<Part, WORKGROUP>;

fn reduce(part: Part, worker: Worker) -> Part {
  var total = part;
  for (var step = 1u; step < min(LANES, SUBGROUP); step *= 2u) {
    let other = subgroupShuffleXor(total, step);
    // Chan's merge rounds differently with its sides swapped: keep the lower lane on the left in both.
    if ((worker.lane & step) == 0u) {
      total = merge(total, other);
    } else {
      total = merge(other, total);
    }
  }
  if (LANES > SUBGROUP) {
    if (worker.lane % SUBGROUP == 0u) {
      scratch[worker.index / SUBGROUP] = total;
    }
    workgroupBarrier();
    let first = (worker.index - worker.lane) / SUBGROUP;
    total = scratch[first];
    for (var j = 1u; j < LANES / SUBGROUP; j++) {
      total = merge(total, scratch[first + j]);
    }
    workgroupBarrier();  // before the next call writes scratch
  }
  return total;
}
