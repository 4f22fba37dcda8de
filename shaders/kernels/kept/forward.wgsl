// kept/forward
// needs: abreast affine_map column_sums epilogue input kept_columns params quad_statistics reduce saving set_statistics statistics storage tensors worker
// y = epilogue((x − mean)·rstd·weight + bias) of sets that lie side by side (shared/kept_columns.wgsl): LayerNorm over the channels of
// NCHW. x is read twice, the second time from a cache: a workgroup has so few columns that their rows fit one. Of a residual form the
// first time stores the sum, which the second reads.
//
// Mapping: LANES lanes per four neighbouring columns, lane l takes rows l, l + LANES, … With FOUR_QUADS, a single lane has sixteen
// columns, which share loads of weight and bias: a software adapter pays for a load that all threads share as for any other. The same fours of
// four neighbouring threads lie side by side, so that each of their loads is of whole lines of a cache.
// Bindings: x, residual, y, sum; weight, bias [rows]; mean [sets] (hi, lo); rstd [sets].
// Numerics: as interfaces/statistics/moments.wgsl, column by column: sums of a chunk about the mean of the chunk before it, merged relative to
// k, which is common to the set. Determinism: every set is summed in a fixed order.
// The host guarantees rows ≥ 1, x smaller than 2^32 elements, enough workgroups; surplus threads do nothing.
override FOUR_QUADS: bool = false;
// Whether a worker is a single lane.
override ALONE: bool = false;
override POINTS_AT_Y: bool = false;
// Whether a lane's rows are a single chunk, and not none.
override ONE_CHUNK: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let count = kept_quads();
  let threads = select(count, (count + 15u) / 16u * 4u, FOUR_QUADS);
  let worker = kept_worker(workgroup_number(invocation), invocation.index, threads);
  let quad = select(worker.id, worker.id / 4u * 16u + worker.id % 4u, FOUR_QUADS);
  if (ALONE) {
    if (worker.surplus || quad >= count) { return; }
  }
  let c0 = kept_of(quad);
  let s0 = statistics_of(c0, worker);
  var c1 = c0;
  var c2 = c0;
  var c3 = c0;
  var s1 = s0;
  var s2 = s0;
  var s3 = s0;
  if (FOUR_QUADS) {
    c1 = kept_of(min(quad + 4u, count - 1u));
    c2 = kept_of(min(quad + 8u, count - 1u));
    c3 = kept_of(min(quad + 12u, count - 1u));
    s1 = statistics_of(c1, worker);
    s2 = statistics_of(c2, worker);
    s3 = statistics_of(c3, worker);
  }
  if (worker.surplus) { return; }
  var row = worker.lane;
  var at0 = place_in(c0, row);
  var at1 = place_in(c1, row);
  var at2 = place_in(c2, row);
  var at3 = place_in(c3, row);
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
    at0 = place_in(c0, row);
  }
  for (; row < params.rows; row += LANES) {
    let w = weight_at(row, 0u, 1u);
    let b = bias_at(row, 0u, 1u);
    store_columns(at0, c0.valid, s0, w, b);
    at0 = place_after(c0, at0, row + LANES);
    if (FOUR_QUADS) {
      store_columns(at1, c1.valid, s1, w, b);
      store_columns(at2, c2.valid, s2, w, b);
      store_columns(at3, c3.valid, s3, w, b);
      at1 = place_after(c1, at1, row + LANES);
      at2 = place_after(c2, at2, row + LANES);
      at3 = place_after(c3, at3, row + LANES);
    }
  }
}

// The pointer comes before the load, as in shared/store_output.wgsl.
fn store_columns(at: u32, valid: u32, s: ColumnStatistics, w: vec4<f32>, b: vec4<f32>) {
  if (POINTS_AT_Y) {
    let out_y = &y[at];
    let centred = centre_columns(stored_input(at, valid), s);
    *out_y = rounded_y(epilogue(at, valid, affine_columns(centred, s, w, b)));
  } else {
    let centred = centre_columns(stored_input(at, valid), s);
    store_y(at, valid, epilogue(at, valid, affine_columns(centred, s, w, b)));
  }
}

fn statistics_of(c: Kept, worker: Worker) -> ColumnStatistics {
  let k = pivots_of(c);
  let parts = parts_of_columns(c, worker, k);
  // One column after the other, so that no thread holds what it takes to merge and to finish four. An index that is no constant costs
  // a software adapter much.
  let s0 = finish(reduce(parts[0], worker), k.x);
  let s1 = finish(reduce(parts[1], worker), k.y);
  let s2 = finish(reduce(parts[2], worker), k.z);
  let s3 = finish(reduce(parts[3], worker), k.w);
  if (!worker.surplus) {
    save_for_backward(worker.lane, c.which, s0);
    if (c.valid > 1u) {
      save_for_backward(worker.lane, c.which + 1u, s1);
    }
    if (c.valid > 2u) {
      save_for_backward(worker.lane, c.which + 2u, s2);
    }
    if (c.valid > 3u) {
      save_for_backward(worker.lane, c.which + 3u, s3);
    }
  }
  let units = vec4<f32>(s0.unit, s1.unit, s2.unit, s3.unit);
  return quad_statistics(
    vec4<f32>(s0.hi, s1.hi, s2.hi, s3.hi) / units,
    vec4<f32>(s0.lo, s1.lo, s2.lo, s3.lo) / units,
    bitcast<vec4<u32>>(vec4<f32>(s0.rstd, s1.rstd, s2.rstd, s3.rstd)),
  );
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
  var wanted = vec4<f32>(1.0);
  var scales = vec4<f32>(1.0);
  var total = Columns();
  for (var attempt = 0u; attempt < 3u; attempt++) {
    let scale = select(select(UP, DOWN, attempt == 1u), 1.0, attempt == 0u);
    let asked = wanted == vec4<f32>(scale);
    if (any(asked)) {
      let found = sums_of_columns(c, worker, k * scale, scale);
      let beyond = out_of_range_each(found.mean) | out_of_range_each(found.m2);
      // As in kernels/channels/statistics.wgsl: what leaves the range when it is made larger stays as it was.
      let right = asked & !(beyond & vec4<bool>(scale == UP));
      total = Columns(found.n, select(total.mean, found.mean, right), select(total.m2, found.m2, right));
      scales = select(scales, vec4<f32>(scale), right);
      if (attempt == 0u) {
        let little = (found.m2 < vec4<f32>(0x1p-70f)) & vec4<bool>(params.eps < 0x1p-90f);
        wanted = select(select(vec4<f32>(1.0), vec4<f32>(UP), little), vec4<f32>(DOWN), beyond);
      }
    }
  }
  return array<Part, 4>(
    part_of(total.n, total.mean.x, total.m2.x, scales.x),
    part_of(total.n, total.mean.y, total.m2.y, scales.y),
    part_of(total.n, total.mean.z, total.m2.z, scales.z),
    part_of(total.n, total.mean.w, total.m2.w, scales.w),
  );
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
        v[i] = input_of(c, place_in(c, row + i * LANES), scale);
      }
      for (var i = 0u; i < AT_ONCE; i++) {
        let d = fma(v[i], vec4<f32>(scale), -pivot);
        s += d;
        q += d * d;
      }
    }
  }
  var at = place_in(c, row);
  for (; row < end; row += LANES) {
    let d = fma(input_of(c, at, scale), vec4<f32>(scale), -pivot);
    s += d;
    q += d * d;
    at = place_after(c, at, row + LANES);
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
fn input_of(c: Kept, at: u32, scale: f32) -> vec4<f32> {
  if (ADDS_RESIDUAL) {
    if (scale == 1.0) {
      return store_input(at, c.valid, input(at, c.valid));
    }
    return stored_input(at, c.valid);
  } else {
    return load_x(at, c.valid);
  }
}
