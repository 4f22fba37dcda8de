// optim/count
// One step more for each of some consecutive parameters of a group, in a dispatch of its own before those that divide by
// it: their threads could not agree on who of them counts.
//
// Mapping: a thread per parameter.
// Bindings: steps [parameters · stride]; the count of parameter i is at i·stride, so that it can be bound alone.
struct Count {
  first: u32,
  count: u32,
  stride: u32,
}

@group(0) @binding(0) var<uniform> numbers: Count;
@group(0) @binding(26) var<storage, read_write> steps: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let i = (wid.x + wid.y * grid.x) * WORKGROUP + index;
  if (i < numbers.count) {
    steps[(numbers.first + i) * numbers.stride] += 1u;
  }
}
