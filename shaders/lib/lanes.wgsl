// lanes
// Threads of a workgroup, and how many of them share a run. Powers of two, LANES ≤ WORKGROUP: trees halve them.
override WORKGROUP: u32 = 64u;
override LANES: u32 = 1u;
