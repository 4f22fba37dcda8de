// gradient_partials
// Partial dbias and dweight: one array, which merge/gradients.wgsl sums over its splits. It is bound as quads, of two
// columns each, where four columns are stored at once.
var<storage, read_write> gradients: array<vec2<f32>>;
var<storage, read_write> gradient_pairs: array<vec4<f32>>;

// Whether a load of x and its like has four elements: the columns of a quad are then all there, and begin at an even place.
override VEC4: bool = false;
// Whether the partials of earlier rows, of another dispatch, are there already: these are added to them.
override ADD_PARTIALS: bool = false;

// Stores the sums of a quad from element `at` on, or adds them to those of the rows before.
fn store_partials(at: u32, valid: u32, dbias_sum: vec4<f32>, dweight_sum: vec4<f32>, adds: bool) {
  if (VEC4) {
    var low = vec4<f32>(dbias_sum.x, dweight_sum.x, dbias_sum.y, dweight_sum.y);
    var high = vec4<f32>(dbias_sum.z, dweight_sum.z, dbias_sum.w, dweight_sum.w);
    if (ADD_PARTIALS || adds) {
      low += gradient_pairs[at / 2u];
      high += gradient_pairs[at / 2u + 1u];
    }
    gradient_pairs[at / 2u] = low;
    gradient_pairs[at / 2u + 1u] = high;
  } else {
    for (var e = 0u; e < valid; e++) {
      let more = vec2<f32>(dbias_sum[e], dweight_sum[e]);
      if (ADD_PARTIALS || adds) {
        gradients[at + e] += more;
      } else {
        gradients[at + e] = more;
      }
    }
  }
}
