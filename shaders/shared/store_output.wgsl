// store_output
// needs: affine_map epilogue input set_statistics storage tensors
// Stores y of a quad. With four elements a load of what is dense, the pointer comes before the load: SwiftShader looks a buffer and its
// bounds up for each, and shares what it found only within a block of code, which a load ends. LayerNorm at 4096×1024: 28
// to 25 ms of both cores, when x's pointer was moved as well; 3 % with this one alone.
override POINTS_AT_Y: bool = false;

fn store_output(at: u32, valid: u32, s: Statistics, w: vec4<f32>, b: vec4<f32>) {
  if (POINTS_AT_Y) {
    let out_y = &y[at];
    *out_y = rounded_y(epilogue(at, valid, affine(centre(stored_input(at, valid), s), s.scale, w, b)));
  } else {
    store_y(at, valid, epilogue(at, valid, affine(centre(stored_input(at, valid), s), s.scale, w, b)));
  }
}
