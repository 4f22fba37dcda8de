// store_gradient
// needs: affine_map params row_sums set_statistics storage tensors upstream
// Stores dx of one quad and returns the sums with its terms.
//
// DIRECT: dy is all the gradient there is, and a load has four elements. All pointers then come first, as in
// store_output.wgsl.
override DIRECT: bool = false;

// What a thread sums of its columns.
struct Gradients {
  dbias: vec4<f32>,
  dweight: vec4<f32>,
}

fn store_gradient(
  before: Gradients,
  row: u32,
  col: u32,
  means: RowSums,
  w: vec4<f32>,
  b: vec4<f32>,
) -> Gradients {
  let s = means.s;
  if (DIRECT) {
    let at = place(row * params.cols + col);
    let in_x = &x[at];
    let in_dy = &dy[at];
    let out_dx = &dx[at];
    let centred = centre(x_quad(*in_x), s);
    let dz = y_quad(*in_dy);
    *out_dx = rounded_x(gradient_of_x(centred, dz * w, means));
    return Gradients(before.dbias + dz, before.dweight + dz * normalized(centred, s.scale));
  } else {
    let valid = valid_of(params.cols - col);
    let at = place(row * params.cols + col);
    let centred = centre(load_x(at, valid), s);
    let dz = upstream(at, valid, affine(centred, s.scale, w, b));
    store_dx(at, valid, add_dsum(at, valid, gradient_of_x(centred, dz * w, means)));
    return Gradients(before.dbias + dz, before.dweight + dz * normalized(centred, s.scale));
  }
}
