// runs/channel
// needs: params
// A run is one channel at one position of a sample, `inner` elements long: run = (sample·positions + position)·channels
// + channel. It has one weight, and shares its set with the other channels of its group and with all positions. In sums over
// a single sample `rounds` positions make one run.
fn set_of_run(run: u32) -> u32 {
  let sample = run / (params.positions * params.channels);
  return sample * params.groups + run % params.channels / (params.channels / params.groups);
}

// Where partial results of a run's slot go: [samples, positions, slots, channels].
fn partial_of_run(run: u32, slot: u32) -> u32 {
  return (run / params.channels * params.slots + slot) * params.channels + run % params.channels;
}

// Where the first position of a run in sums begins in x.
fn base_of_run(run: u32) -> u32 {
  return (run / params.channels * params.rounds * params.channels + run % params.channels) * params.cols;
}

// The positions of a run in sums: the last one may have fewer.
fn rounds_of_run(run: u32) -> u32 {
  return min(params.rounds, params.samples * params.positions - run / params.channels * params.rounds);
}
