// strides
// Tensors of x's shape whose elements do not lie side by side: a part of a larger tensor, an axis that is broadcast, axes in another order.
// An operand is read and written at the places that its layout says: runs of elements that lie side by side, and up to three axes of such
// runs. A layout is a constant, so that no kernel divides by what its compiler does not know.
struct Layout {
  runs: vec4<u32>,   // elements of a run, runs of the first axis, places of the second, and where the first element lies
  steps: vec4<u32>,  // elements from one run to the next, and from one place to the next of the second and of the third axis
}

// All in quads where a load takes four elements.
override X_STRIDED: bool = false;
override X_LAYOUT: Layout = Layout();
override RESIDUAL_STRIDED: bool = false;
override RESIDUAL_LAYOUT: Layout = Layout();
override Y_STRIDED: bool = false;
override Y_LAYOUT: Layout = Layout();
override SUM_STRIDED: bool = false;
override SUM_LAYOUT: Layout = Layout();
override DY_STRIDED: bool = false;
override DY_LAYOUT: Layout = Layout();
override DSUM_STRIDED: bool = false;
override DSUM_LAYOUT: Layout = Layout();
override DX_STRIDED: bool = false;
override DX_LAYOUT: Layout = Layout();
override DRESIDUAL_STRIDED: bool = false;
override DRESIDUAL_LAYOUT: Layout = Layout();

// Where element i lies, or quad i.
fn strided(i: u32, memory: Layout) -> u32 {
  let first_axis = i / memory.runs.x;
  let second_axis = first_axis / memory.runs.y;
  let third_axis = second_axis / memory.runs.z;
  let within_run = memory.runs.w + (i - first_axis * memory.runs.x);
  let in_first = (first_axis - second_axis * memory.runs.y) * memory.steps.x;
  let in_second = (second_axis - third_axis * memory.runs.z) * memory.steps.y;
  return within_run + in_first + in_second + third_axis * memory.steps.z;
}
