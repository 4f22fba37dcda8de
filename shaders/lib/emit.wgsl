// emit
// Stores y of a quad, element by element.
fn emit(at: u32, valid: u32, s: Statistics, w: vec4<f32>, b: vec4<f32>) {
  store_y(at, valid, epilogue(at, valid, affine(centre(kept(at, valid), s), s.scale, w, b)));
}
