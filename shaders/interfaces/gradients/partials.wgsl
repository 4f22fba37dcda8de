// gradients/partials
// needs: params tensors
// The sums of a thread's columns as partials of its split; merge/gradients.wgsl makes dweight and dbias of them.
var<storage, read_write> gradients: array<vec2<f32>>;

// Adds to the partials of the rows before these: a split then holds rows of several dispatches.
override ADD_PARTIALS: bool = false;

fn store_gradients(split: u32, col: u32, dbias_sum: vec4<f32>, dweight_sum: vec4<f32>) {
  let at = split * params.span + col - params.first_col;
  for (var e = 0u; e < valid_of(params.cols - col); e++) {
    let more = vec2<f32>(dbias_sum[e], dweight_sum[e]);
    if (ADD_PARTIALS) {
      gradients[at + e] += more;
    } else {
      gradients[at + e] = more;
    }
  }
}
