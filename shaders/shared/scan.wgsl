// scan
// needs: abreast input params set_statistics statistics tensors worker
// The statistics of quads first, first + LANES, … below end of the segment that starts at `base`.
//
// Chunks are merged into blocks and blocks into the total, each about the root of the number of chunks long: one long
// chain of merges would round as often as there are chunks.
const CHUNK = 16u;  // quads in a chunk
// Both for short rows on a software adapter, where a merge costs as much as several loads.
override ONE_CHUNK: bool = false;  // the segment is a single chunk, and nothing is merged
override BLOCKS: bool = true;      // false: chunks are merged straight into the total

fn scan(base: u32, first: u32, end: u32, k: f32) -> Part {
  let start = place(base);
  var scale = 1.0;
  var total = Sums();
  for (var attempt = 0u; attempt < 3u; attempt++) {
    if (ONE_CHUNK) {
      total = scan_chunk(start, first, end, k, scale);
    } else {
      total = Sums();
      var block = Sums();
      var merged = 0u;
      for (var q = first; q < end; q += CHUNK * LANES) {
        let chunk = scan_chunk(start, q, min(end, q + CHUNK * LANES), k, scale);
        if (BLOCKS) {
          block = join(block, chunk);
          merged += 1u;
          if (merged == params.block) {
            total = join(total, block);
            block = Sums();
            merged = 0u;
          }
        } else {
          total = join(total, chunk);
        }
      }
      if (BLOCKS) {
        total = join(total, block);
      }
    }
    let next = next_scale(outside(total), squares_of(total), scale, attempt);
    if (next == scale) { break; }
    scale = next;
  }
  return Part(total, scale);
}

// Quads first, first + LANES, … below end, of which there is one at least.
fn scan_chunk(start: u32, first: u32, end: u32, k: f32, scale: f32) -> Sums {
  if (ABREAST) {
    return scan_abreast(start, first, end, k, scale);
  } else {
    var valid = valid_of(params.cols - 4u * first);
    var at = quad_at(start, first);
    var v = store_input(at, valid, input(at, valid));
    var chunk = chunk_add(chunk_start(v * scale), v, scale, valid);
    var n = valid;
    for (var q = first + LANES; q < end; q += LANES) {
      valid = valid_of(params.cols - 4u * q);
      at = quad_at(start, q);
      v = store_input(at, valid, input(at, valid));
      chunk = chunk_add(chunk, v, scale, valid);
      n += valid;
    }
    return chunk_sums(chunk, n, k * scale);
  }
}

// The same in the same order, several quads asked for at a time while there are so many (shared/abreast.wgsl).
fn scan_abreast(start: u32, first: u32, end: u32, k: f32, scale: f32) -> Sums {
  var chunk: Chunk;
  var n = 0u;
  var q = first;
  for (; q + (AT_ONCE - 1u) * LANES < end; q += AT_ONCE * LANES) {
    var some: array<vec4<f32>, AT_ONCE>;
    for (var i = 0u; i < AT_ONCE; i++) {
      let next = q + i * LANES;
      some[i] = input(quad_at(start, next), valid_of(params.cols - 4u * next));
    }
    // No branch: a compiler would leave loads behind it.
    chunk = chunk_about(chunk, some[0] * scale, q == first);
    for (var i = 0u; i < AT_ONCE; i++) {
      let next = q + i * LANES;
      let valid = valid_of(params.cols - 4u * next);
      chunk = chunk_add(chunk, store_input(quad_at(start, next), valid, some[i]), scale, valid);
      n += valid;
    }
  }
  for (; q < end; q += LANES) {
    let valid = valid_of(params.cols - 4u * q);
    let v = store_input(quad_at(start, q), valid, input(quad_at(start, q), valid));
    chunk = chunk_add(chunk_about(chunk, v * scale, q == first), v, scale, valid);
    n += valid;
  }
  return chunk_sums(chunk, n, k * scale);
}

// A typical value of a quad: its mean, if f32 has room for that.
fn quad_mean(base: u32, q: u32) -> f32 {
  let v = input(place(base + 4u * q), valid_of(params.cols - 4u * q));
  let typical = quad_average(v);
  return select(typical, v.x, out_of_range(typical));
}

// The common pivot of the segment at `base`, from its first, middle and last quad. A single chunk is summed about the mean
// of its first quad in any case, and merges with nothing.
fn segment_pivot(base: u32) -> f32 {
  if (ONE_CHUNK) {
    return quad_mean(base, 0u);
  } else {
    let last = (params.cols - 1u) / 4u;
    return common_pivot(quad_mean(base, 0u), quad_mean(base, last / 2u), quad_mean(base, last));
  }
}
