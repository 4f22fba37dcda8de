// dx and the partials of dweight and dbias of a row norm whose mean(g) and mean(g·x̂) are known: the second pass of
// rows that do not fit on chip, and of adapters where barriers cost too much.
//
// Mapping: a thread owns four neighbouring columns and a slot of the rows, so the columns' sums stay in registers and
// neighbouring threads load neighbouring columns. No barrier.
// Bindings: x, dy, dsum, dx [rows, cols]; weight [cols]; mean [rows] (hi, lo);
// sums [rows] (mean(g), mean(g·x̂), rstd, 0); partials [slots, cols] (Σdy, Σdy·x̂).
// Numerics: sums over at most slot_length rows, then merge/gradients.wgsl. Determinism: one writer per slot.
@group(0) @binding(12) var<storage, read_write> partials: array<vec2<f32>>;
@group(0) @binding(13) var<storage, read> sums: array<vec4<f32>>;

override HAS_PARTIALS: bool = true;
override HAS_DSUM: bool = false;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let thread = (wid.x + wid.y * grid.x) * WORKGROUP + index;
  let quads = (params.cols + 3u) / 4u;
  let slot = thread / quads;
  if (slot >= params.slots) {
    return;
  }
  let col = 4u * (thread % quads);
  let valid = valid_of(params.cols - col);
  let w = weight_at(0u, col, valid);
  let end = min((slot + 1u) * params.slot_length, params.rows);

  var dbias = vec4<f32>();
  var dweight = vec4<f32>();
  for (var row = slot * params.slot_length; row < end; row++) {
    let i = row * params.cols + col;
    let known = sums[row];
    let s = saved_mean(row, known.z);
    let centred = centre(load_x(i, valid), s);
    let upstream = load_dy(i, valid);
    dbias += upstream;
    dweight += upstream * normalized(centred, s.rstd);
    var out = upstream * w - centred * (s.rstd * known.y);
    if (HAS_MEAN) {
      out -= known.x;
    }
    out *= s.rstd;
    if (HAS_DSUM) {
      out += load_dsum(i, valid);
    }
    store_dx(i, valid, out);
  }
  if (HAS_PARTIALS) {
    let at = (params.first_slot + slot) * params.cols + col;
    for (var e = 0u; e < valid; e++) {
      partials[at + e] = vec2<f32>(dbias[e], dweight[e]);
    }
  }
}
