// optim/count_steps
// needs: worker
// One step more for some parameters of a group, in a dispatch of its own before those that divide by it: their threads could
// not agree on who of them counts.
//
// Mapping: a thread per parameter.
// Bindings: slots [parameters], their numbers in the group; steps, the count of parameter i at i·stride, so that it can be bound
// alone; settings, whose first word says to skip the step.
struct Params {
  count: u32,
  stride: u32,
}

var<uniform> params: Params;
var<storage, read> slots: array<u32>;
var<storage, read> settings: array<u32>;
var<storage, read_write> steps: array<u32>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let i = thread_id(invocation);
  if (i < params.count && settings[0] == 0u) {
    steps[slots[i] * params.stride] += 1u;
  }
}
