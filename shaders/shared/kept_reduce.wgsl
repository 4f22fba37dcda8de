// kept_reduce
// needs: statistics worker
// Merges what the lanes of a worker have of its four columns, in workgroup memory; every lane gets the result. The tree is fixed, so two
// runs give the same bits. To be called in uniform control flow. The host sees to it that WORKGROUP is at most 512.
override SEVERAL_LANES: bool = false;

var<workgroup> other_lanes: array<Part, 2u * WORKGROUP>;

fn reduce_columns(own: ptr<function, array<Part, 4>>, worker: Worker) {
  let side = WORKGROUP / LANES;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (worker.lane >= half && worker.lane < 2u * half) {
      for (var j = 0u; j < 4u; j++) {
        other_lanes[j * (WORKGROUP / 2u) + worker.index - half * side] = (*own)[j];
      }
    }
    workgroupBarrier();
    if (worker.lane < half) {
      for (var j = 0u; j < 4u; j++) {
        (*own)[j] = merge((*own)[j], other_lanes[j * (WORKGROUP / 2u) + worker.index]);
      }
    }
    workgroupBarrier();
  }
  if (worker.lane == 0u) {
    for (var j = 0u; j < 4u; j++) {
      other_lanes[j * (WORKGROUP / 2u) + worker.index] = (*own)[j];
    }
  }
  workgroupBarrier();
  for (var j = 0u; j < 4u; j++) {
    (*own)[j] = other_lanes[j * (WORKGROUP / 2u) + worker.index % side];
  }
  workgroupBarrier();  // before the next call writes other_lanes
}
