// gradients/partials
// needs: gradient_partials params tensors
// The sums of a thread's columns as partials of its split; merge/gradients.wgsl makes dweight and dbias of them.
fn store_gradients(split: u32, col: u32, dbias_sum: vec4<f32>, dweight_sum: vec4<f32>) {
  let at = split * params.span + col - params.first_col;
  store_partials(at, valid_of(params.cols - col), dbias_sum, dweight_sum, false);
}
