// optim/scaled
// needs: places storage worker
// y = x·factor, such as the gradient of a loss that is scaled.
//
// Mapping: a workgroup takes `share` elements (shared/places.wgsl); a thread every WORKGROUP-th of them.
// Bindings: x, y [elements], of their dtypes; factor [1].
// Numerics: f32; one rounding, at the store.
var<storage, read> x: array<X>;
var<storage, read> factor: array<f32>;
var<storage, read_write> y: array<SHARED_W>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let taken = place_of(workgroup_number(invocation));
  for (var i = taken.first + invocation.index; i < taken.end; i += WORKGROUP) {
    let v = x_element(x[x_entry(i)], i) * factor[0];
    if (W_PACKED) {
      atomicAnd(&y[w_entry(i)], other_half(i));
      atomicOr(&y[w_entry(i)], half_word(w_words(vec4<f32>(v)), i));
    } else {
      y[i] = W(v);
    }
  }
}
