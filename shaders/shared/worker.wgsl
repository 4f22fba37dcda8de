// worker
// Who a thread is. A worker is a team of LANES threads that share one piece of work, such as a row.
// Both are powers of two and LANES ≤ WORKGROUP, since trees halve them.
override WORKGROUP: u32 = 64u;
override LANES: u32 = 1u;
override ITEMS: u32 = 1u;  // quads in a lane's registers, or elements that a thread takes

struct Invocation {
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
}

// The number of a workgroup; the host folds many into two dimensions.
fn workgroup_number(invocation: Invocation) -> u32 {
  return invocation.workgroup.x + invocation.workgroup.y * invocation.grid.x;
}

fn thread_id(invocation: Invocation) -> u32 {
  return workgroup_number(invocation) * WORKGROUP + invocation.index;
}

struct Worker {
  id: u32,        // of its piece of work; a surplus worker does the last one again
  lane: u32,
  index: u32,     // of the thread in its workgroup
  surplus: bool,  // whether there is no work left for it: it takes part in barriers, and stores nothing
}

// The worker that a thread belongs to, where there are `count` pieces of work.
fn worker_of(invocation: Invocation, count: u32) -> Worker {
  let id = workgroup_number(invocation) * (WORKGROUP / LANES) + invocation.index / LANES;
  return Worker(min(id, count - 1u), invocation.index % LANES, invocation.index, id >= count);
}

// The first element of a thread that takes every WORKGROUP-th of WORKGROUP·ITEMS neighbours.
fn first_item(invocation: Invocation) -> u32 {
  return workgroup_number(invocation) * WORKGROUP * ITEMS + invocation.index;
}
