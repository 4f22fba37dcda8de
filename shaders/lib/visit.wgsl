// visit
// Stores dx of one quad and returns the sums with its terms.
fn visit(
  sum: Gradients,
  row: u32,
  col: u32,
  known: Known,
  w: vec4<f32>,
  b: vec4<f32>,
) -> Gradients {
  let valid = valid_of(params.cols - col);
  let at = place(row * params.cols + col);
  let s = known.s;
  let centred = centre(load_x(at, valid), s);
  let dz = upstream(at, valid, affine(centred, s.scale, w, b));
  var out = dz * w - centred * (s.scale * known.mean_g_xhat);
  if (HAS_MEAN) {
    out -= known.mean_g;
  }
  out *= s.scale;
  out *= s.unit;
  store_dx(at, valid, add_dsum(at, valid, out));
  return Gradients(sum.dbias + dz, sum.dweight + dz * normalized(centred, s.scale));
}
