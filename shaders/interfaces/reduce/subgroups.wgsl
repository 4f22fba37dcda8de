// reduce/subgroups
// needs: statistics worker
// Merges one Part per lane over the LANES lanes of a segment by subgroup shuffles; every lane gets the result. Where a
// segment has several subgroups, the results of those go through workgroup memory and are shuffled likewise. The order
// is fixed, so two runs give the same bits. To be called in uniform control flow.
//
// The host guarantees that SUBGROUP divides every subgroup size that the device may choose; like every 1-D kernel
// that shuffles, this relies on lanes of a subgroup having consecutive local indices.
override SUBGROUP: u32 = 32u;
// Whether a segment has more lanes than SUBGROUP.
override SEVERAL_SUBGROUPS: bool = false;

var<workgroup> scratch: array<Part, WORKGROUP / SUBGROUP>;

fn reduce(part: Part, worker: Worker) -> Part {
  var total = shuffle(part, worker.lane, min(LANES, SUBGROUP));
  if (SEVERAL_SUBGROUPS) {
    let first = (worker.index - worker.lane) / SUBGROUP;
    // Of `count` results in workgroup memory each subgroup takes SUBGROUP, or all.
    for (var count = LANES / SUBGROUP; count > 1u; count /= SUBGROUP) {
      let which = worker.lane / SUBGROUP;
      if (worker.lane % SUBGROUP == 0u && which < count) {
        scratch[first + which] = total;
      }
      workgroupBarrier();
      total = scratch[first + worker.lane % count];
      workgroupBarrier();  // before the next one writes scratch
      total = shuffle(total, worker.lane, min(count, SUBGROUP));
    }
  }
  return total;
}

// Merges the parts of `count` neighbouring lanes.
fn shuffle(part: Part, lane: u32, count: u32) -> Part {
  var total = part;
  for (var step = 1u; step < count; step *= 2u) {
    let other = subgroupShuffleXor(total, step);
    // Chan's merge rounds differently with its sides swapped: keep the lower lane on the left in both.
    if ((lane & step) == 0u) {
      total = merge(total, other);
    } else {
      total = merge(other, total);
    }
  }
  return total;
}
