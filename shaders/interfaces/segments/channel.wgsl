// segments/channel
// needs: params
// A segment is one channel at one position of a sample, `inner` elements long: segment = (sample·positions +
// position)·channels + channel. It has one weight, and shares its set with the other channels of its group and with all
// positions. In sums over a single sample `planes_per_partial` positions make one segment.
fn set_of_segment(segment: u32) -> u32 {
  let sample = segment / (params.positions * params.channels);
  return sample * params.groups + segment % params.channels / (params.channels / params.groups);
}

// Whether a segment, in an apply pass or in sums, is the first one of its set.
fn begins_set(segment: u32) -> bool {
  let first_position = segment % (params.positions * params.channels) < params.channels;
  return first_position && segment % (params.channels / params.groups) == 0u;
}

// Where partial results of a segment's split go: [samples, positions, splits, channels].
fn partial_of_segment(segment: u32, split: u32) -> u32 {
  return (segment / params.channels * params.splits + split) * params.channels + segment % params.channels;
}

// Where the first position of a segment in sums begins in x.
fn base_of_segment(segment: u32) -> u32 {
  return (segment / params.channels * params.planes_per_partial * params.channels + segment % params.channels) * params.cols;
}

// The positions of a segment in sums: the last one may have fewer.
fn planes_of_segment(segment: u32) -> u32 {
  return min(params.planes_per_partial, params.samples * params.positions - segment / params.channels * params.planes_per_partial);
}
