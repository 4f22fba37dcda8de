// grouped
// needs: params
// Whether a row of x is several sets, one per group of its columns, each with weights of its own: set s is group s % groups.
override GROUPED: bool = false;

// Where the weights of a set begin.
fn first_of_set(segment: u32) -> u32 {
  if (GROUPED) {
    return segment % params.groups * params.cols;
  } else {
    return 0u;
  }
}
