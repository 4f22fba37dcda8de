// gradient_partials
// Partial dbias and dweight: one array, which merge/gradients.wgsl sums over its splits.
var<storage, read_write> gradients: array<vec2<f32>>;

// Whether the partials of earlier rows, of another dispatch, are there already: these are added to them.
override ADD_PARTIALS: bool = false;

// Stores the sums of a quad from element `at` on, or adds them to those of the rows before.
fn store_partials(at: u32, valid: u32, dbias_sum: vec4<f32>, dweight_sum: vec4<f32>, adds: bool) {
  for (var e = 0u; e < valid; e++) {
    let more = vec2<f32>(dbias_sum[e], dweight_sum[e]);
    if (ADD_PARTIALS || adds) {
      gradients[at + e] += more;
    } else {
      gradients[at + e] = more;
    }
  }
}
