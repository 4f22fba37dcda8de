// grouped
// needs: params
// Whether a row of x is several sets, one per group of its columns, each with weights of its own: set s is group s % groups.
override GROUPED: bool = false;

// Where the weight of a column of a set is.
fn parameter_at(segment: u32, col: u32) -> u32 {
  if (GROUPED) {
    return segment % params.groups * params.cols + col;
  } else {
    return col;
  }
}
