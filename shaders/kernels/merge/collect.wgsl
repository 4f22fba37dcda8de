// merge/collect
// needs: params sum_of_splits worker
// The sums over splits of what a part of the samples has for dweight and dbias, beside its partials: in f16 the gradients
// themselves would round once per part. merge/gradients.wgsl then takes them for one split.
//
// Mapping: LANES lanes per channel (shared/sum_of_splits.wgsl).
// Bindings: partials [splits, channels, inner] (Σdy, Σdy·x̂), and from element `first_col` on [channels], which are written.
// Determinism: splits are added in a fixed order, parts likewise.
var<storage, read_write> partials: array<vec2<f32>>;

// Whether these are not the first part.
override ADD_PARTIALS: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.channels);
  var total = sum_of_splits(worker);
  if (worker.lane > 0u || worker.surplus) { return; }
  if (ADD_PARTIALS) {
    total += partials[params.first_col + worker.id];
  }
  partials[params.first_col + worker.id] = total;
}
