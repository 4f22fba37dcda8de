// kept/backward
// needs: abreast activated affine_map gradient_partials kept_columns params quad_statistics reduce saved_quad set_statistics statistics tensors upstream worker
// dx and the partials of dweight and dbias of sets that lie side by side (shared/kept_columns.wgsl), in one dispatch:
//   g = dz·weight,  dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) + dsum,  sum_dz_xhat = Σ dz·x̂,  sum_dz = Σ dz
// where dz is dy, or dy·activation'(z) (shared/upstream.wgsl). x and dy are read twice, the second time from a cache.
// With STORES_DRESIDUAL it stores dz and nothing else, for a pass that follows.
//
// Mapping: LANES lanes per four neighbouring columns, lane l takes rows l, l + LANES, … The dispatch is persistent: `splits` workgroups do
// `column_steps` tiles of columns each. All threads of one share a partial of dweight and dbias (SHARES_SPLIT), or each thread has its
// own. With FOUR_QUADS, a single lane has sixteen columns, as in kept/forward.wgsl.
// Bindings: x, dy, residual, dresidual, dsum, dx; weight, bias [rows]; mean [sets] (hi, lo) and rstd [sets], or statistics [sets];
// gradients [partials, span] (Σdz, Σdz·x̂): of rows first_col … first_col + span − 1, which are those whose dx is stored.
// Numerics: centred sums, in chunks about the root of their number long. Determinism: tiles are dealt out by index, and what the threads of
// a workgroup have of a row is added in a fixed order.
// The host sees to it that every partial has a tile, and that WORKGROUP is at most 256.
override FOUR_QUADS: bool = false;
// Whether anyone wants dweight or dbias.
override HAS_PARTIALS: bool = true;
override SHARES_SPLIT: bool = false;
// Whether a lane's rows are a single chunk.
override ONE_CHUNK: bool = false;

var<workgroup> row_terms: array<vec2<f32>, WORKGROUP * AT_ONCE>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let number = workgroup_number(invocation);
  let each = select(1u, 4u, FOUR_QUADS);
  let count = (kept_quads() + each - 1u) / each;
  for (var turn = 0u; turn < params.column_steps; turn++) {
    var worker = kept_worker(turn * params.splits + number, invocation.index, count);
    worker.surplus = worker.surplus || number >= params.splits;
    if (SHARES_SPLIT) {
      walk_together(worker, number, turn > 0u);
    } else {
      if (!worker.surplus) {
        walk_alone(worker, each, thread_id(invocation), turn > 0u);
      }
    }
  }
}

// A row with its parameters.
struct Row {
  index: u32,
  w: vec4<f32>,
  b: vec4<f32>,
}

fn row_of(index: u32) -> Row {
  return Row(index, weight_at(index, 0u, 1u), shift_at(index, 0u, 1u));
}

// What dx of four columns is made with.
struct ColumnMeans {
  mean_g: vec4<f32>,  // times unit
  slope: vec4<f32>,   // the mean of g·x̂, times scale
}

// All rows of four columns, which the workgroup's other threads have neighbours of. Called in uniform control flow.
fn walk_together(worker: Worker, split: u32, adds: bool) {
  let c = kept_of(worker.id);
  let s = saved_columns(c);
  if (STORES_DRESIDUAL) {
    _ = sums_of(c, s, worker);
  } else {
    let means = means_of(c, s, worker);
    let end = params.first_col + params.span;
    for (var first = params.first_col; first < end; first += AT_ONCE * LANES) {
      var xs: array<vec4<f32>, AT_ONCE>;
      var us: array<vec4<f32>, AT_ONCE>;
      for (var i = 0u; i < AT_ONCE; i++) {
        let at = place_in(c, min(first + i * LANES + worker.lane, end - 1u));
        xs[i] = load_x(at, c.valid);
        us[i] = load_dy(at, c.valid);
      }
      for (var i = 0u; i < AT_ONCE; i++) {
        let row = first + i * LANES + worker.lane;
        var terms = vec2<f32>();
        if (row < end && !worker.surplus) {
          terms = store_gradient_of(c, row_of(row), s, means, xs[i], us[i]);
        }
        if (HAS_PARTIALS) {
          row_terms[(i * LANES + worker.lane) * (WORKGROUP / LANES) + worker.index / LANES] = terms;
        }
      }
      if (HAS_PARTIALS) {
        workgroupBarrier();
        add_up_rows(split, first, end, worker.index, adds);
        workgroupBarrier();  // before the next rows write row_terms
      }
    }
  }
}

// What the threads of a workgroup have of AT_ONCE·LANES rows: each row in an order of its own, so that threads read other banks.
fn add_up_rows(split: u32, first: u32, end: u32, index: u32, adds: bool) {
  let side = WORKGROUP / LANES;
  for (var i = index; i < AT_ONCE * LANES; i += WORKGROUP) {
    if (first + i < end && split < params.splits) {
      var total = vec2<f32>();
      for (var j = 0u; j < side; j++) {
        total += row_terms[i * side + (i + j) % side];
      }
      store_row(split, first + i, total, adds);
    }
  }
}

// All rows of four columns, or of sixteen.
fn walk_alone(worker: Worker, each: u32, split: u32, adds: bool) {
  let quad = worker.id * each;
  let last = kept_quads() - 1u;
  let c0 = kept_of(quad);
  let s0 = saved_columns(c0);
  if (STORES_DRESIDUAL) {
    _ = sums_of(c0, s0, worker);
    if (FOUR_QUADS) {
      for (var other = quad + 1u; other <= min(quad + 3u, last); other++) {
        let c = kept_of(other);
        _ = sums_of(c, saved_columns(c), worker);
      }
    }
  } else {
    let m0 = means_of(c0, s0, worker);
    var s1 = s0;
    var s2 = s0;
    var s3 = s0;
    var c1 = c0;
    var c2 = c0;
    var c3 = c0;
    var m1 = m0;
    var m2 = m0;
    var m3 = m0;
    if (FOUR_QUADS) {
      c1 = kept_of(min(quad + 1u, last));
      c2 = kept_of(min(quad + 2u, last));
      c3 = kept_of(min(quad + 3u, last));
      s1 = saved_columns(c1);
      s2 = saved_columns(c2);
      s3 = saved_columns(c3);
      m1 = means_of(c1, s1, worker);
      m2 = means_of(c2, s2, worker);
      m3 = means_of(c3, s3, worker);
    }
    // Past the last quad that one is done again, and does not count.
    let counts = vec3<f32>(vec3<u32>(quad) + vec3<u32>(1u, 2u, 3u) <= vec3<u32>(last));
    for (var index = params.first_col; index < params.first_col + params.span; index++) {
      let row = row_of(index);
      var terms = gradient_of_row(c0, row, s0, m0);
      if (FOUR_QUADS) {
        terms += gradient_of_row(c1, row, s1, m1) * counts.x;
        terms += gradient_of_row(c2, row, s2, m2) * counts.y;
        terms += gradient_of_row(c3, row, s3, m3) * counts.z;
      }
      if (HAS_PARTIALS) {
        store_row(split, index, terms, adds);
      }
    }
  }
}

fn store_row(split: u32, index: u32, terms: vec2<f32>, adds: bool) {
  let at = split * params.span + index - params.first_col;
  var total = terms;
  if (ADD_PARTIALS) {
    total += gradients[at];
  } else {
    if (adds) {
      total += gradients[at];
    }
  }
  gradients[at] = total;
}

fn saved_columns(c: Kept) -> ColumnStatistics {
  return saved_quad(vec4<u32>(c.which) + min(vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(c.valid - 1u)));
}

fn means_of(c: Kept, s: ColumnStatistics, worker: Worker) -> ColumnMeans {
  let parts = sums_of(c, s, worker);
  let a = reduce(parts[0], worker);
  let b = reduce(parts[1], worker);
  let d = reduce(parts[2], worker);
  let e = reduce(parts[3], worker);
  var means: ColumnMeans;
  if (HAS_MEAN) {
    means.mean_g = vec4<f32>(a.x, b.x, d.x, e.x) / params.count * s.unit;
  }
  means.slope = vec4<f32>(a.y, b.y, d.y, e.y) / params.count * s.scale;
  if (LIMITED) {
    means.slope = unless_limited(means.slope, s.scale, s.unit);
  }
  return means;
}

// Σg and Σg·x̂ of a lane's rows.
fn sums_of(c: Kept, s: ColumnStatistics, worker: Worker) -> array<Part, 4> {
  let end = select(params.rows, 0u, worker.surplus);
  var sum_g = vec4<f32>();
  var sum_g_xhat = vec4<f32>();
  var row = worker.lane;
  while (row < end) {
    let stop = select(min(end, row + params.block * LANES), end, ONE_CHUNK);
    var block_g = vec4<f32>();
    var block_g_xhat = vec4<f32>();
    if (ABREAST) {
      for (; row + (AT_ONCE - 1u) * LANES < stop; row += AT_ONCE * LANES) {
        var xs: array<vec4<f32>, AT_ONCE>;
        var us: array<vec4<f32>, AT_ONCE>;
        for (var i = 0u; i < AT_ONCE; i++) {
          let at = place_in(c, row + i * LANES);
          xs[i] = centre_columns(load_x(at, c.valid), s);
          us[i] = load_dy(at, c.valid);
        }
        for (var i = 0u; i < AT_ONCE; i++) {
          let r = row_of(row + i * LANES);
          let g = gradient_of_z(c, r, s, xs[i], us[i]) * r.w;
          block_g += g;
          block_g_xhat += g * (xs[i] * s.scale);
        }
      }
    }
    for (; row < stop; row += LANES) {
      let at = place_in(c, row);
      let centred = centre_columns(load_x(at, c.valid), s);
      let r = row_of(row);
      let g = gradient_of_z(c, r, s, centred, load_dy(at, c.valid)) * r.w;
      block_g += g;
      block_g_xhat += g * (centred * s.scale);
    }
    if (ONE_CHUNK) {
      sum_g = block_g;
      sum_g_xhat = block_g_xhat;
    } else {
      sum_g += block_g;
      sum_g_xhat += block_g_xhat;
    }
  }
  return array<Part, 4>(
    Part(sum_g.x, sum_g_xhat.x),
    Part(sum_g.y, sum_g_xhat.y),
    Part(sum_g.z, sum_g_xhat.z),
    Part(sum_g.w, sum_g_xhat.w),
  );
}

// dz, from dy and x − mean of a row.
fn gradient_of_z(c: Kept, row: Row, s: ColumnStatistics, centred: vec4<f32>, dy_quad: vec4<f32>) -> vec4<f32> {
  if (GATED) {
    return upstream_at(c, row, s, centred, dy_quad);
  } else if (HAS_ACTIVATION) {
    return upstream_at(c, row, s, centred, dy_quad);
  } else {
    return dy_quad;
  }
}

fn upstream_at(c: Kept, row: Row, s: ColumnStatistics, centred: vec4<f32>, dy_quad: vec4<f32>) -> vec4<f32> {
  return upstream_of(dy_quad, place_in(c, row.index), c.valid, affine_columns(centred, s, row.w, row.b));
}

// Stores dx of a row, and returns its terms of Σdz and Σdz·x̂.
fn store_gradient_of(
  c: Kept,
  row: Row,
  s: ColumnStatistics,
  means: ColumnMeans,
  x_there: vec4<f32>,
  dy_quad: vec4<f32>,
) -> vec2<f32> {
  let at = place_in(c, row.index);
  let centred = centre_columns(x_there, s);
  let dz = gradient_of_z(c, row, s, centred, dy_quad);
  let g = fma(-centred, means.slope, dz * row.w);
  store_dx(at, c.valid, add_dsum(at, c.valid, s.scale * fma(g, vec4<f32>(s.unit), -means.mean_g)));
  let counted = within(c.valid, dz);
  return vec2<f32>(add_up(counted), add_up(within(c.valid, dz * normalized_columns(centred, s))));
}

// The same, with the loads.
fn gradient_of_row(c: Kept, row: Row, s: ColumnStatistics, means: ColumnMeans) -> vec2<f32> {
  let at = place_in(c, row.index);
  return store_gradient_of(c, row, s, means, load_x(at, c.valid), load_dy(at, c.valid));
}
