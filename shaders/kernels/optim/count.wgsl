// optim/count
// needs: worker
// One step more for each of some consecutive parameters of a group, in a dispatch of its own before those that divide by
// it: their threads could not agree on who of them counts.
//
// Mapping: a thread per parameter.
// Bindings: steps [parameters · stride]; the count of parameter i is at i·stride, so that it can be bound alone.
struct Params {
  first: u32,
  count: u32,
  stride: u32,
}

var<uniform> params: Params;
var<storage, read_write> steps: array<u32>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let i = thread_id(invocation);
  if (i < params.count) {
    steps[(params.first + i) * params.stride] += 1u;
  }
}
