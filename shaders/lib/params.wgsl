// params
// The numbers of one dispatch. The host lays out the same 20 words (src/kernels/params.ts).
//
// x is [samples, positions, channels, inner], row-major. Its channels form `groups` groups; a set is one
// (sample, group) and is what one mean and one rstd belong to.
struct Params {
  samples: u32,
  positions: u32,
  channels: u32,
  inner: u32,
  groups: u32,
  rows: u32,         // contiguous runs of x that this dispatch walks; of a sample where threads own columns
  cols: u32,         // elements of such a run
  slots: u32,        // parts that a run (rows) or a sample's rows (channels) are split into
  slot_length: u32,  // quads (rows) or rows (channels, columns) of a slot
  rounds: u32,       // rows that one row-group of a persistent dispatch walks; positions whose planes share a partial
  block: u32,        // chunks that are merged before they meet the total: about the root of their number
  mask: u32,         // 0xffffffff; the compiler must not know that
  count: f32,        // elements of a set
  eps: f32,
  momentum: f32,     // of running statistics
  first_element: u32,  // where x and its likes begin in their bindings, which start at aligned offsets
  first_set: u32,      // the set that is number 0 here, in mean and rstd, which are bound whole
  first_col: u32,      // columns first_col … first_col + span − 1 of a row have partials of dweight and dbias here
  span: u32,
  first_run: u32,      // the run that is number 0 here, where x is cut between runs
}

@group(0) @binding(0) var<uniform> params: Params;

fn add_up(v: vec4<f32>) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}
