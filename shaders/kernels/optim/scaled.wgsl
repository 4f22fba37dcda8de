// optim/scaled
// needs: places storage worker
// y = x·factor, such as the gradient of a loss that is scaled.
//
// Mapping: a workgroup takes `share` elements (shared/places.wgsl); a thread every WORKGROUP-th of them.
// Bindings: x, y [elements], of their dtypes; factor [1].
// Numerics: f32; one rounding, at the store.
var<storage, read> x: array<X>;
var<storage, read> factor: array<f32>;
var<storage, read_write> y: array<W>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let taken = place_of(workgroup_number(invocation));
  for (var i = taken.first + invocation.index; i < taken.end; i += WORKGROUP) {
    y[i] = W(f32(x[i]) * factor[0]);
  }
}
