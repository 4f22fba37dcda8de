// scan
// needs: input params set_statistics statistics tensors worker
// The statistics of quads first, first + LANES, … below end of the segment that starts at `base`.
//
// Chunks are merged into blocks and blocks into the total, each about the root of the number of chunks long: one long
// chain of merges would round as often as there are chunks.
const CHUNK = 16u;  // quads in a chunk

fn scan(base: u32, first: u32, end: u32, k: f32) -> Part {
  let start = place(base);
  var scale = 1.0;
  var total = Sums();
  for (var attempt = 0u; attempt < 3u; attempt++) {
    total = Sums();
    var block = Sums();
    var merged = 0u;
    var q = first;
    while (q < end) {
      let stop = min(end, q + CHUNK * LANES);
      var valid = valid_of(params.cols - 4u * q);
      var at = quad_at(start, q);
      var v = store_input(at, valid, input(at, valid));
      var chunk = chunk_add(chunk_start(v * scale), v, scale, valid);
      var n = valid;
      for (q += LANES; q < stop; q += LANES) {
        valid = valid_of(params.cols - 4u * q);
        at = quad_at(start, q);
        v = store_input(at, valid, input(at, valid));
        chunk = chunk_add(chunk, v, scale, valid);
        n += valid;
      }
      block = join(block, chunk_sums(chunk, n, k * scale));
      merged += 1u;
      if (merged == params.block) {
        total = join(total, block);
        block = Sums();
        merged = 0u;
      }
    }
    total = join(total, block);
    let next = next_scale(outside(total), squares_of(total), scale, attempt);
    if (next == scale) { break; }
    scale = next;
  }
  return Part(total, scale);
}

// A typical value of a quad: its mean, if f32 has room for that.
fn quad_mean(base: u32, q: u32) -> f32 {
  let v = input(place(base + 4u * q), valid_of(params.cols - 4u * q));
  let typical = quad_average(v);
  return select(typical, v.x, out_of_range(typical));
}

// The common pivot of the segment at `base`, from its first, middle and last quad.
fn segment_pivot(base: u32) -> f32 {
  let last = (params.cols - 1u) / 4u;
  return common_pivot(quad_mean(base, 0u), quad_mean(base, last / 2u), quad_mean(base, last));
}
