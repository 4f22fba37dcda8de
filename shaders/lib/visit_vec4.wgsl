// visit_vec4
// Stores dx of one quad and returns the sums with its terms, where dy is all the gradient there is. All pointers come first,
// as in lib/emit_vec4.wgsl.
fn visit(
  sum: Gradients,
  row: u32,
  col: u32,
  known: Known,
  w: vec4<f32>,
  b: vec4<f32>,
) -> Gradients {
  let at = place(row * params.cols + col);
  let s = known.s;
  let in_x = &x[at];
  let in_dy = &dy[at];
  let out_dx = &dx[at];
  let centred = centre(vec4<f32>(*in_x), s);
  let dz = vec4<f32>(*in_dy);
  var out = dz * w - centred * (s.scale * known.mean_g_xhat);
  if (HAS_MEAN) {
    out -= known.mean_g;
  }
  out *= s.scale;
  out *= s.unit;
  *out_dx = X4(out);
  return Gradients(sum.dbias + dz, sum.dweight + dz * normalized(centred, s.scale));
}
