// dx and the partials of dweight and dbias of a row norm whose mean(g) and mean(g·x̂) are known: the second pass of
// rows that do not fit on chip, and of adapters where barriers cost too much.
//
// Mapping: a thread owns four neighbouring columns, or eight with TWO_QUADS, and a slot of the rows, so the columns' sums
// stay in registers and neighbouring threads load neighbouring columns. No barrier. TWO_QUADS is for software adapters,
// which pay for a load of a row's statistics that all lanes share as for any other; past the last quad a thread does the
// last one again.
// Bindings: x, dy, dsum, dx [rows, cols]; weight, bias [cols]; mean [rows] (hi, lo);
// sums [rows] (mean(g), mean(g·x̂), rstd, 0); partials [slots, cols] (Σdy, Σdy·x̂).
// Numerics: sums over the rows of a slot, in blocks about the root of their number long, then merge/gradients.wgsl. Determinism: one writer per slot.
//
// Measured on SwiftShader, 4096×1024: 1, 2, 4 quads a thread: 20, 14, 13 ms beside a copy of 8.
@group(0) @binding(12) var<storage, read_write> partials: array<vec2<f32>>;
@group(0) @binding(13) var<storage, read> sums: array<vec4<f32>>;

override HAS_PARTIALS: bool = true;
override TWO_QUADS: bool = false;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let thread = (wid.x + wid.y * grid.x) * WORKGROUP + index;
  let quads = (params.cols + 3u) / 4u;
  let each = select(1u, 2u, TWO_QUADS);
  let bundles = (quads + each - 1u) / each;
  let slot = thread / bundles;
  if (slot >= params.slots) {
    return;
  }
  let col0 = 4u * each * (thread % bundles);
  let col1 = min(col0 + 4u, 4u * (quads - 1u));
  let w0 = weight_at(0u, col0, valid_of(params.cols - col0));
  let w1 = weight_at(0u, col1, valid_of(params.cols - col1));
  let b0 = shift_at(0u, col0, valid_of(params.cols - col0));
  let b1 = shift_at(0u, col1, valid_of(params.cols - col1));
  let end = min((slot + 1u) * params.slot_length, params.rows);

  var total0 = Gradients();
  var total1 = Gradients();
  var row = slot * params.slot_length;
  while (row < end) {
    let stop = min(end, row + params.block);
    var g0 = Gradients();
    var g1 = Gradients();
    for (; row < stop; row++) {
      let known = sums[row];
      let s = saved_mean(row, known.z);
      g0 = visit(g0, row, col0, s, known, w0, b0);
      if (TWO_QUADS) {
        g1 = visit(g1, row, col1, s, known, w1, b1);
      }
    }
    total0 = Gradients(total0.dbias + g0.dbias, total0.dweight + g0.dweight);
    total1 = Gradients(total1.dbias + g1.dbias, total1.dweight + g1.dweight);
  }
  if (HAS_PARTIALS) {
    let at = slot * params.cols;
    write_partials(at, col0, total0);
    if (TWO_QUADS) {
      write_partials(at, col1, total1);
    }
  }
}

struct Gradients {
  dbias: vec4<f32>,
  dweight: vec4<f32>,
}

// Stores dx of one quad and returns the sums with its terms.
fn visit(
  sum: Gradients,
  row: u32,
  col: u32,
  s: Statistics,
  known: vec4<f32>,
  w: vec4<f32>,
  b: vec4<f32>,
) -> Gradients {
  let valid = valid_of(params.cols - col);
  let at = place(row * params.cols + col);
  let centred = centre(load_x(at, valid), s);
  let dz = upstream(at, valid, affine(centred, s.rstd, w, b));
  var out = dz * w - centred * (s.rstd * known.y);
  if (HAS_MEAN) {
    out -= known.x;
  }
  out *= s.rstd;
  store_dx(at, valid, add_dsum(at, valid, out));
  return Gradients(sum.dbias + dz, sum.dweight + dz * normalized(centred, s.rstd));
}

fn write_partials(at: u32, col: u32, sum: Gradients) {
  for (var e = 0u; e < valid_of(params.cols - col); e++) {
    partials[at + col + e] = vec2<f32>(sum.dbias[e], sum.dweight[e]);
  }
}
