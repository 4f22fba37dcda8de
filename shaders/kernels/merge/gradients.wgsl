// merge/gradients
// needs: gradient_stores params sum_of_splits worker
// dweight and dbias from the partials of a backward pass: the sum over splits, in order.
//
// Mapping: LANES lanes per channel (shared/sum_of_splits.wgsl).
// Bindings: partials [splits, channels, inner] (Σdy, Σdy·x̂); dweight, dbias, of which `channels` from first_col are
// written.
// Numerics: two levels of sums, one rounding at the store; ACCUMULATE_* add to what the gradients hold, before it.
// Determinism: splits are added in a fixed order, whatever order they were written in.
var<storage, read> partials: array<vec2<f32>>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.channels);
  let total = sum_of_splits(worker);
  if (worker.lane > 0u || worker.surplus) { return; }
  store_gradients(params.first_col + worker.id, total.x, total.y);
}
