// segments/row
// needs: params
// A segment is a set: all channels of a group, one weight per column or per `inner` columns.
fn set_of_segment(segment: u32) -> u32 {
  return segment;
}

fn begins_set(segment: u32) -> bool {
  return true;
}

// Where partial results of a segment's split go: [segments, splits], a segment being a group of a sample.
fn partial_of_segment(segment: u32, split: u32) -> u32 {
  return (segment / params.groups * params.splits + split) * params.groups + segment % params.groups;
}

// Where a segment begins in x.
fn base_of_segment(segment: u32) -> u32 {
  return segment * params.cols;
}

fn planes_of_segment(segment: u32) -> u32 {
  return 1u;
}
