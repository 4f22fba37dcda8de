// strides
// Tensors of x's shape whose elements do not lie side by side: a part of a larger tensor, an axis that is broadcast, other orders of
// axes. An operand is read and written at the places that its layout says: runs of elements that lie side by side, and up to three axes
// of such runs. These numbers are constants, so that no kernel divides by what its compiler does not know.
//
// RUNS: elements of a run, runs of the first axis, places of the second, and where the first element lies. STEPS: from one run to the
// next, and of the second and third axis. In quads where a load takes four elements.
override X_STRIDED: bool = false;
override X_RUNS: vec4<u32> = vec4<u32>(1u);
override X_STEPS: vec4<u32> = vec4<u32>(1u);
override RESIDUAL_STRIDED: bool = false;
override RESIDUAL_RUNS: vec4<u32> = vec4<u32>(1u);
override RESIDUAL_STEPS: vec4<u32> = vec4<u32>(1u);
override Y_STRIDED: bool = false;
override Y_RUNS: vec4<u32> = vec4<u32>(1u);
override Y_STEPS: vec4<u32> = vec4<u32>(1u);
override SUM_STRIDED: bool = false;
override SUM_RUNS: vec4<u32> = vec4<u32>(1u);
override SUM_STEPS: vec4<u32> = vec4<u32>(1u);
override DY_STRIDED: bool = false;
override DY_RUNS: vec4<u32> = vec4<u32>(1u);
override DY_STEPS: vec4<u32> = vec4<u32>(1u);
override DSUM_STRIDED: bool = false;
override DSUM_RUNS: vec4<u32> = vec4<u32>(1u);
override DSUM_STEPS: vec4<u32> = vec4<u32>(1u);
override DX_STRIDED: bool = false;
override DX_RUNS: vec4<u32> = vec4<u32>(1u);
override DX_STEPS: vec4<u32> = vec4<u32>(1u);
override DRESIDUAL_STRIDED: bool = false;
override DRESIDUAL_RUNS: vec4<u32> = vec4<u32>(1u);
override DRESIDUAL_STEPS: vec4<u32> = vec4<u32>(1u);

// Where element i lies, or quad i.
fn strided(i: u32, runs: vec4<u32>, distances: vec4<u32>) -> u32 {
  let first_axis = i / runs.x;
  let second_axis = first_axis / runs.y;
  let third_axis = second_axis / runs.z;
  let within_run = runs.w + (i - first_axis * runs.x);
  return within_run + (first_axis - second_axis * runs.y) * distances.x + (second_axis - third_axis * runs.z) * distances.y + third_axis * distances.z;
}
