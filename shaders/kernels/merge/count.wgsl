// merge/count
// needs: worker
// num_batches_tracked += 1, in a dispatch of its own before a merge whose threads all divide by it, or where there is none. Other
// merges count themselves (interfaces/tracking/update.wgsl).
//
// Mapping: a single thread; the host makes WORKGROUP 1.
// Bindings: num_batches_tracked [1].
var<storage, read_write> num_batches_tracked: array<u32>;

@compute @workgroup_size(WORKGROUP) fn main() {
  num_batches_tracked[0] += 1u;
}
