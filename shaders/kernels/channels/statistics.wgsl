// channels/statistics
// needs: abreast batch_count column_sums columns columns_abreast params set_statistics statistics tensors worker
// Partial statistics of the columns of x[samples, rows, cols] (shared/columns.wgsl), rows divided into splits;
// merge/statistics.wgsl makes mean and rstd of them.
//
// Mapping: a thread owns four neighbouring columns and one split of the rows, so neighbouring threads load
// neighbouring columns. No barrier. One of them counts the batch, where running statistics are updated.
// Bindings: x; partials [samples, splits, cols] (n, mean − k, M2, k).
// Numerics: as interfaces/statistics/moments.wgsl, column by column: sums about a chunk's own pivot, merged relative to
// k, which is common to the set. Determinism: one writer per partial.
// The host guarantees rows ≥ 1, x smaller than 2^32 elements, enough workgroups; surplus threads do nothing.
var<storage, read_write> partials: array<vec4<f32>>;

const CHUNK = 64u;  // rows in a chunk
// Whether chunks are merged into blocks, and those into the total. Where a split has few chunks they meet the total directly, since
// what is held of four columns costs registers.
override BLOCKS: bool = true;

// The mean of four rows, spread over the chunk: one row alone may be far from the others, and the first four are far from the last ones of a
// ramp. Σ(x−p)² − (Σ(x−p))²/n then cancels.
fn chunk_pivot(c: Column, first: u32, stop: u32, scale: f32) -> vec4<f32> {
  let last = stop - 1u;
  let third = (last - first) / 3u;
  let a = load_x(place_of(c, first), c.valid) * scale;
  let b = load_x(place_of(c, first + third), c.valid) * scale - a;
  let d = load_x(place_of(c, last - third), c.valid) * scale - a;
  let e = load_x(place_of(c, last), c.valid) * scale - a;
  return a + 0.25 * ((b + d) + e);
}

fn set_pivot(c: Column, j: u32) -> f32 {
  let width = params.channels / params.groups;
  let first = c.sample * params.rows * params.cols + channel_of(c, j) / width * width * params.inner;
  return common_pivot(
    load_x_element(first),
    load_x_element(first + params.rows / 2u * params.cols),
    load_x_element(first + (params.rows - 1u) * params.cols),
  );
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let c = column_of(thread_id(invocation));
  if (!c.in_range) { return; }
  if (COUNTS) {
    if (thread_id(invocation) == 0u) {
      count_batch();
    }
  }
  var k: vec4<f32>;
  for (var j = 0u; j < 4u; j++) {
    k[j] = set_pivot(c, j);
  }
  let at = c.partial;
  // One scale for all four columns at a time, since what the inner loop holds for each of them costs registers: 1, and where
  // that is not enough for some column, the others as well.
  var wanted = vec4<f32>(1.0);
  var attempts = 1u;
  for (var attempt = 0u; attempt < attempts; attempt++) {
    let scale = select(select(UP, DOWN, attempt == 1u), 1.0, attempt == 0u);
    let found = scan_columns(c, k, scale);
    let beyond = out_of_range_each(found.mean) | out_of_range_each(found.m2);
    // What leaves the range when it is made larger stays as it was.
    let right = (wanted == vec4<f32>(scale)) & !(beyond & vec4<bool>(scale == UP));
    for (var j = 0u; j < c.valid; j++) {
      if (right[j]) {
        partials[at + j] = pack(Part(found.n, found.mean[j], found.m2[j], scale), k[j]);
      }
    }
    if (attempt == 0u) {
      // As next_scale() in shared/set_statistics.wgsl.
      let small = (found.m2 < vec4<f32>(0x1p-70f)) & vec4<bool>(params.eps < 0x1p-90f);
      wanted = select(select(vec4<f32>(1.0), vec4<f32>(UP), small), vec4<f32>(DOWN), beyond);
      attempts = select(3u, 1u, all(wanted == vec4<f32>(1.0)));
    }
  }
}

// The sums of the rows of a thread, times a scale.
fn scan_columns(c: Column, k: vec4<f32>, scale: f32) -> Columns {
  var total = Columns();
  var block = Columns();
  var merged = 0u;
  var p = c.first;
  while (p < c.end) {
    let start = p;
    let stop = min(c.end, p + CHUNK);
    let pivot = chunk_pivot(c, p, stop, scale);
    var s = vec4<f32>();
    var q = vec4<f32>();
    if (ABREAST) {
      for (; p + AT_ONCE <= stop; p += AT_ONCE) {
        var v = x_abreast(c, p);
        for (var i = 0u; i < AT_ONCE; i++) {
          let e = fma(v[i], vec4<f32>(scale), -pivot);
          s += e;
          q += e * e;
        }
      }
    }
    for (; p < stop; p++) {
      let d = fma(load_x(place_of(c, p), c.valid), vec4<f32>(scale), -pivot);
      s += d;
      q += d * d;
    }
    let n = f32(stop - start);
    let m = s / n;
    // As in interfaces/statistics/moments.wgsl: what has left the range must not look like a constant chunk.
    let m2 = select(max(q - s * m, vec4<f32>()), q, out_of_range_each(q));
    let chunk = Columns(n, (pivot - k * scale) + m, m2);
    if (BLOCKS) {
      block = join_columns(block, chunk);
      merged += 1u;
      if (merged == params.block) {
        total = join_columns(total, block);
        block = Columns();
        merged = 0u;
      }
    } else {
      total = join_columns(total, chunk);
    }
  }
  if (BLOCKS) {
    return join_columns(total, block);
  } else {
    return total;
  }
}
