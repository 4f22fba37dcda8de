// batch_count
// One batch more, to be counted by one thread of a pass.
var<storage, read_write> num_batches_tracked: array<u32>;

override COUNTS: bool = false;

fn count_batch() {
  num_batches_tracked[0] += 1u;
}
