// set_parts
// needs: params worker
// The parts of a set in an array [samples, splits, channels], which LANES lanes walk over, lane l from part l on: a set's
// channels are neighbours, its splits a row of channels apart. An integer division takes a GPU as long as ten other
// operations, so that a step from one part to the next has none.
struct SetParts {
  first: u32,    // the place of the first part
  last: u32,     // and of the last
  count: u32,    // splits × width
  width: u32,    // channels of a set
  splits: u32,   // LANES further on: so many splits, and so many channels
  columns: u32,
}

struct SetPart {
  number: u32,
  at: u32,      // its place
  column: u32,  // which channel of the set it is of
}

fn parts_of(which: u32) -> SetParts {
  let width = params.channels / params.groups;
  let sample = which / params.groups;
  let first = sample * params.set_splits * params.channels + (which - sample * params.groups) * width;
  let last = first + (params.set_splits - 1u) * params.channels + width - 1u;
  return SetParts(first, last, params.set_splits * width, width, LANES / width, LANES % width);
}

fn part_at(parts: SetParts, j: u32) -> u32 {
  let split = j / parts.width;
  return parts.first + split * params.channels + (j - split * parts.width);
}

fn first_part(parts: SetParts, lane: u32) -> SetPart {
  return SetPart(lane, part_at(parts, lane), lane % parts.width);
}

// The part that lies LANES further on.
fn next_part(parts: SetParts, p: SetPart) -> SetPart {
  let at = p.at + parts.splits * params.channels + parts.columns;
  let column = p.column + parts.columns;
  let over = column >= parts.width;
  return SetPart(
    p.number + LANES,
    select(at, at + (params.channels - parts.width), over),
    select(column, column - parts.width, over),
  );
}
