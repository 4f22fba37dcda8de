// The sums of a thread's columns as partials of its slot; merge/gradients.wgsl makes dweight and dbias of them.
@group(0) @binding(12) var<storage, read_write> partials: array<vec2<f32>>;

fn store_gradients(slot: u32, col: u32, dbias_sum: vec4<f32>, dweight_sum: vec4<f32>) {
  let at = slot * params.cols + col;
  for (var e = 0u; e < valid_of(params.cols - col); e++) {
    partials[at + e] = vec2<f32>(dbias_sum[e], dweight_sum[e]);
  }
}
