// emit
// Stores y of a quad, element by element, and the sum if that is what is normalized.
fn emit(at: u32, valid: u32, s: Statistics, w: vec4<f32>, b: vec4<f32>) {
  let v = input(at, valid);
  emit_sum(at, valid, v);
  store_y(at, valid, epilogue(at, valid, affine(centre(v, s), s.rstd, w, b)));
}
