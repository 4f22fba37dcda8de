// kept/forward
// needs: abreast affine_map column_sums epilogue input kept_columns kept_reduce params quad_statistics saving set_statistics statistics storage tensors worker
// y = epilogue((x − mean)·rstd·weight + bias) of sets that lie side by side (shared/kept_columns.wgsl): LayerNorm over the channels of
// NCHW. x is read twice, the second time from a cache: a workgroup has so few columns that their rows fit one. Of a residual form the
// first time stores the sum, which the second reads.
//
// Mapping: LANES lanes per four neighbouring columns, lane l takes rows l, l + LANES, … With FOUR_QUADS, a single lane has sixteen
// columns, which share loads of weight and bias: a software adapter pays for a load that all threads share as for any other.
// Bindings: x, residual, y, sum; weight, bias [rows]; mean [sets] (hi, lo); rstd [sets].
// Numerics: as interfaces/statistics/moments.wgsl, column by column: sums of a chunk about the mean of the chunk before it, merged relative to
// k, which is common to the set. Determinism: every set is summed in a fixed order.
// The host guarantees rows ≥ 1, x smaller than 2^32 elements, enough workgroups; surplus threads do nothing.
override FOUR_QUADS: bool = false;
override VEC4: bool = false;
// Whether a lane's rows are a single chunk.
override ONE_CHUNK: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let each = select(1u, 4u, FOUR_QUADS);
  let count = kept_quads();
  let worker = kept_worker(workgroup_number(invocation), invocation.index, (count + each - 1u) / each);
  if (!SEVERAL_LANES) {
    if (worker.surplus) { return; }
  }
  let c0 = kept_of(worker.id * each);
  let s0 = statistics_of(c0, worker);
  var c1 = c0;
  var c2 = c0;
  var c3 = c0;
  var s1 = s0;
  var s2 = s0;
  var s3 = s0;
  if (FOUR_QUADS) {
    c1 = kept_of(min(worker.id * each + 1u, count - 1u));
    c2 = kept_of(min(worker.id * each + 2u, count - 1u));
    c3 = kept_of(min(worker.id * each + 3u, count - 1u));
    s1 = statistics_of(c1, worker);
    s2 = statistics_of(c2, worker);
    s3 = statistics_of(c3, worker);
  }
  if (worker.surplus) { return; }
  var row = worker.lane;
  if (ABREAST) {
    for (; row + (AT_ONCE - 1u) * LANES < params.rows; row += AT_ONCE * LANES) {
      var v: array<vec4<f32>, AT_ONCE>;
      for (var i = 0u; i < AT_ONCE; i++) {
        v[i] = stored_input(place_in(c0, row + i * LANES), c0.valid);
      }
      for (var i = 0u; i < AT_ONCE; i++) {
        let at = place_in(c0, row + i * LANES);
        let w = weight_at(row + i * LANES, 0u, 1u);
        let b = bias_at(row + i * LANES, 0u, 1u);
        store_y(at, c0.valid, epilogue(at, c0.valid, affine_columns(centre_columns(v[i], s0), s0, w, b)));
      }
    }
  }
  for (; row < params.rows; row += LANES) {
    let w = weight_at(row, 0u, 1u);
    let b = bias_at(row, 0u, 1u);
    store_columns(place_in(c0, row), c0.valid, s0, w, b);
    if (FOUR_QUADS) {
      store_columns(place_in(c1, row), c1.valid, s1, w, b);
      store_columns(place_in(c2, row), c2.valid, s2, w, b);
      store_columns(place_in(c3, row), c3.valid, s3, w, b);
    }
  }
}

// The pointer comes before the load, as in shared/store_output.wgsl.
fn store_columns(at: u32, valid: u32, s: ColumnStatistics, w: vec4<f32>, b: vec4<f32>) {
  if (VEC4) {
    let out_y = &y[at];
    let centred = centre_columns(stored_input(at, valid), s);
    *out_y = X4(epilogue(at, valid, affine_columns(centred, s, w, b)));
  } else {
    let centred = centre_columns(stored_input(at, valid), s);
    store_y(at, valid, epilogue(at, valid, affine_columns(centred, s, w, b)));
  }
}

fn statistics_of(c: Kept, worker: Worker) -> ColumnStatistics {
  let k = pivots_of(c);
  var parts = parts_of_columns(c, worker, k);
  if (SEVERAL_LANES) {
    reduce_columns(&parts, worker);
  }
  var hi: vec4<f32>;
  var lo: vec4<f32>;
  var bits: vec4<u32>;
  for (var j = 0u; j < 4u; j++) {
    let s = finish(parts[j], k[j]);
    hi[j] = s.hi / s.unit;
    lo[j] = s.lo / s.unit;
    bits[j] = bitcast<u32>(s.rstd);
    if (j < c.valid && !worker.surplus) {
      save_for_backward(worker.lane, c.which + j, s);
    }
  }
  return quad_statistics(hi, lo, bits);
}

// The common pivot of each column: the median of three rows, as in interfaces/statistics/moments.wgsl.
fn pivots_of(c: Kept) -> vec4<f32> {
  if (HAS_MEAN) {
    let a = input(place_in(c, 0u), c.valid);
    let b = input(place_in(c, params.rows / 2u), c.valid);
    let d = input(place_in(c, params.rows - 1u), c.valid);
    return max(min(a, b), min(max(a, b), d));
  } else {
    return vec4<f32>();
  }
}

// What a lane has of each column, at the scale that this one's sums are in range at: one after the other, and all four together, since
// what the inner loop holds for each of them costs registers.
fn parts_of_columns(c: Kept, worker: Worker, k: vec4<f32>) -> array<Part, 4> {
  var parts: array<Part, 4>;
  var wanted = vec4<f32>(1.0);
  for (var attempt = 0u; attempt < 3u; attempt++) {
    let scale = select(select(UP, DOWN, attempt == 1u), 1.0, attempt == 0u);
    let asked = wanted == vec4<f32>(scale);
    if (any(asked)) {
      let found = sums_of_columns(c, worker, k * scale, scale);
      let beyond = out_of_range_each(found.mean) | out_of_range_each(found.m2);
      // As in kernels/channels/statistics.wgsl: what leaves the range when it is made larger stays as it was.
      let right = asked & !(beyond & vec4<bool>(scale == UP));
      for (var j = 0u; j < 4u; j++) {
        if (right[j]) {
          parts[j] = part_of(found.n, found.mean[j], found.m2[j], scale);
        }
      }
      if (attempt == 0u) {
        let little = (found.m2 < vec4<f32>(0x1p-70f)) & vec4<bool>(params.eps < 0x1p-90f);
        wanted = select(select(vec4<f32>(1.0), vec4<f32>(UP), little), vec4<f32>(DOWN), beyond);
      }
    }
  }
  return parts;
}

fn part_of(n: f32, m: f32, m2: f32, scale: f32) -> Part {
  if (HAS_MEAN) {
    return Part(n, m, m2, scale);
  } else {
    return Part(m2, select(scale, 0.0, n == 0.0));
  }
}

// The sums of a lane's rows, times a scale, about k.
fn sums_of_columns(c: Kept, worker: Worker, k: vec4<f32>, scale: f32) -> Columns {
  let end = select(params.rows, 0u, worker.surplus);
  var pivot = k;
  if (ONE_CHUNK) {
    return chunk_of_columns(c, worker.lane, end, pivot, scale);
  } else {
    var total = Columns();
    for (var row = worker.lane; row < end; row += params.block * LANES) {
      var chunk = chunk_of_columns(c, row, min(end, row + params.block * LANES), pivot, scale);
      let m = chunk.mean;
      chunk.mean += pivot - k;
      total = with_chunk(total, chunk);
      pivot += m;
    }
    return total;
  }
}

fn with_chunk(total: Columns, chunk: Columns) -> Columns {
  if (HAS_MEAN) {
    return join_columns(total, chunk);
  } else {
    return Columns(total.n + chunk.n, vec4<f32>(), total.m2 + chunk.m2);
  }
}

// The sums of rows first, first + LANES, … below end, of which there is one at least, relative to the pivot.
fn chunk_of_columns(c: Kept, first: u32, end: u32, pivot: vec4<f32>, scale: f32) -> Columns {
  var s = vec4<f32>();
  var q = vec4<f32>();
  var row = first;
  if (ABREAST) {
    for (; row + (AT_ONCE - 1u) * LANES < end; row += AT_ONCE * LANES) {
      var v: array<vec4<f32>, AT_ONCE>;
      for (var i = 0u; i < AT_ONCE; i++) {
        v[i] = input_of(c, row + i * LANES, scale);
      }
      for (var i = 0u; i < AT_ONCE; i++) {
        let d = fma(v[i], vec4<f32>(scale), -pivot);
        s += d;
        q += d * d;
      }
    }
  }
  for (; row < end; row += LANES) {
    let d = fma(input_of(c, row, scale), vec4<f32>(scale), -pivot);
    s += d;
    q += d * d;
  }
  let n = f32((end - first + LANES - 1u) / LANES);
  if (HAS_MEAN) {
    let m = s / n;
    // As in interfaces/statistics/moments.wgsl: what has left the range must not look like a constant chunk.
    return Columns(n, m, select(max(q - s * m, vec4<f32>()), q, out_of_range_each(q)));
  } else {
    return Columns(n, vec4<f32>(), q);
  }
}

// What is normalized. The first time, which is at scale 1, the sum is stored; from then on it is read.
fn input_of(c: Kept, row: u32, scale: f32) -> vec4<f32> {
  let at = place_in(c, row);
  if (ADDS_RESIDUAL) {
    if (scale == 1.0) {
      return store_input(at, c.valid, input(at, c.valid));
    }
    return stored_input(at, c.valid);
  } else {
    return load_x(at, c.valid);
  }
}
