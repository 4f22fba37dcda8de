// merge/count
// needs: batch_count worker
// num_batches_tracked += 1, in a dispatch of its own, where there is no pass over x to do it, and no merge whose threads do not all
// divide by the number (interfaces/tracking/update.wgsl).
//
// Mapping: a single thread; the host makes WORKGROUP 1.
// Bindings: num_batches_tracked [1].
@compute @workgroup_size(WORKGROUP) fn main() {
  count_batch();
}
