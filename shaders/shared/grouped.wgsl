// grouped
// needs: params
// Which of several weights a set has, of which there are `groups`. GROUPED: a row of x is several sets, one per group of its columns, so
// that set s has weights s % groups. BLOCKED: the sets of each group lie behind each other, `samples` of them, as where every sample
// of a batch has a weight of its own.
override GROUPED: bool = false;
override BLOCKED: bool = false;

// Where the weights of a set begin.
fn first_of_set(segment: u32) -> u32 {
  if (BLOCKED) {
    return segment / params.samples * params.cols;
  } else if (GROUPED) {
    return segment % params.groups * params.cols;
  } else {
    return 0u;
  }
}

// Rows first, first + step, … below end.
struct Walk {
  first: u32,
  step: u32,
  end: u32,
}

// What a walker does where all of its rows have the same weights: the number of walkers is a multiple of the groups.
fn walk_of_group(walker: u32, walkers: u32) -> Walk {
  if (BLOCKED) {
    let group = walker % params.groups;
    let end = (group + 1u) * params.samples;
    return Walk(end - params.samples + walker / params.groups, walkers / params.groups, end);
  } else {
    return Walk(walker, walkers, params.rows);
  }
}
