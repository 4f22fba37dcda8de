// kept_columns
// needs: affine_map params quad_statistics storage tensors worker
// For kernels of sets that lie side by side: x is [segments, rows, cols], a set is one column of a segment, and weight and bias have a
// value per row. A worker has four neighbouring columns, whose rows its lanes share.
//
// INTERLEAVED: what is reduced is up to three runs of axes, with what is kept between and behind them. x is [samples, r, k, run_before,
// between, run, cols]: rows is r·run_before·run, segments is samples·k·between.
override INTERLEAVED: bool = false;

struct Kept {
  start: u32,  // the element of x in row 0
  which: u32,  // the set of the first of the four
  valid: u32,  // how many of the four exist
}

// Fours of columns in all segments.
fn kept_quads() -> u32 {
  return params.segments * ((params.cols + 3u) / 4u);
}

fn kept_of(quad: u32) -> Kept {
  let quads = (params.cols + 3u) / 4u;
  let segment = quad / quads;
  let col = 4u * (quad - segment * quads);
  var first = segment * params.rows;
  if (INTERLEAVED) {
    let outer = segment / params.between;
    let each = params.segments / params.samples / params.between;
    first = outer / each * params.rows * each * params.between
      + (outer % each * params.run_before * params.between + segment % params.between) * params.run;
  }
  return Kept(first * params.cols + col, segment * params.cols + col, valid_of(params.cols - col));
}

// Place in x of the four columns in a row.
fn place_in(c: Kept, row: u32) -> u32 {
  if (INTERLEAVED) {
    let outer = row / params.run;
    let each = params.segments / params.samples / params.between;
    let at = outer / params.run_before * each * params.run_before + outer % params.run_before;
    return place(c.start + (at * params.between * params.run + row % params.run) * params.cols);
  } else {
    return place(c.start + row * params.cols);
  }
}

// The same from the place in the row LANES before: what is added is the same for all.
fn place_after(c: Kept, at: u32, row: u32) -> u32 {
  if (INTERLEAVED) {
    return place_in(c, row);
  } else {
    return at + (place(LANES * params.cols) - place(0u));
  }
}

// The worker of a thread of workgroup `number`, where there are `count`: neighbouring threads of a workgroup have neighbouring columns.
fn kept_worker(number: u32, index: u32, count: u32) -> Worker {
  let id = number * (WORKGROUP / LANES) + index % (WORKGROUP / LANES);
  return Worker(min(id, count - 1u), index / (WORKGROUP / LANES), index, id >= count);
}

// As normalized() and affine() in shared/affine_map.wgsl.
fn normalized_columns(centred: vec4<f32>, s: ColumnStatistics) -> vec4<f32> {
  if (CAST_FIRST) {
    return round_to_storage(centred * s.scale);
  } else {
    return centred * s.scale;
  }
}

fn affine_columns(centred: vec4<f32>, s: ColumnStatistics, w: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  if (CAST_FIRST) {
    return normalized_columns(centred, s) * w + b;
  } else {
    return centred * (s.scale * w) + b;
  }
}
