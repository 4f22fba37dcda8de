// runs/row
// needs: params
// A run is a set: all channels of a group, one weight per column or per `inner` columns.
fn set_of_run(run: u32) -> u32 {
  return run;
}

// Where partial results of a run's slot go: [runs, slots], a run being a group of a sample.
fn partial_of_run(run: u32, slot: u32) -> u32 {
  return (run / params.groups * params.slots + slot) * params.groups + run % params.groups;
}

// Where a run begins in x.
fn base_of_run(run: u32) -> u32 {
  return run * params.cols;
}

fn rounds_of_run(run: u32) -> u32 {
  return 1u;
}
