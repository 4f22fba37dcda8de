// optim/count
// needs: worker
// One more: how often there was an average, in a dispatch of its own behind those that divide by it.
//
// Mapping: one thread counts.
// Bindings: steps [1].
var<storage, read_write> steps: array<u32>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  if (thread_id(invocation) == 0u) {
    steps[0] += 1u;
  }
}
