// emit_residual_vec4
// Stores y and sum of a quad, where the sum is what is normalized. All pointers come first, as in lib/emit_vec4.wgsl.
fn emit(at: u32, valid: u32, s: Statistics, w: vec4<f32>, b: vec4<f32>) {
  let in_x = &x[at];
  let in_residual = &residual[at];
  let out_sum = &sum[at];
  let out_y = &y[at];
  let v = round_to_storage(vec4<f32>(*in_x) + vec4<f32>(*in_residual));
  *out_sum = X4(v);
  *out_y = X4(epilogue(at, valid, affine(centre(v, s), s.rstd, w, b)));
}
