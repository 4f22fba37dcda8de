// params
// The numbers of one dispatch. A kernel has those that it reads, and the host lays out the same.
//
// x is [samples, positions, channels, inner], row-major. Its channels form `groups` groups; a set is one
// (sample, group) and is what one mean and one rstd belong to.
struct Params {
  samples: u32,
  positions: u32,
  channels: u32,
  inner: u32,
  groups: u32,
  rows: u32,               // contiguous segments of x that this dispatch walks; of a sample where threads own columns
  cols: u32,               // elements of such a segment
  splits: u32,             // parts that a segment (rows) or a sample's rows (channels) are split into
  set_splits: u32,         // splits of a set in an array of partials [samples, splits, channels]
  carried: u32,            // where in that array what rides behind the partials begins
  split_length: u32,       // quads (rows) or rows (channels, columns) of a split
  planes_per_partial: u32, // positions whose planes share a partial
  rows_per_split: u32,     // rows that one row-group of a persistent dispatch walks
  column_steps: u32,       // times that a thread goes on to the next columns
  block: u32,              // chunks that are merged before they meet the total: about the root of their number
  opaque_ones: u32,        // all bits set, which the compiler must not know
  count: f32,              // elements of a set
  eps: f32,
  most_rstd: f32,          // what rstd is at most, where eps is the least length of a set
  shrink: f32,             // 1 / sqrt(elements of a set): what makes a length of 1 of a root mean square of 1
  momentum: f32,           // of running statistics
  first_element: u32,      // where x and its likes begin in their bindings, which start at aligned offsets
  first_set: u32,          // the set that is number 0 here, in mean and rstd, which are bound whole
  first_col: u32,          // columns first_col … first_col + span − 1 of a row have partials of dweight and dbias here
  span: u32,
  run: u32,                // of interleaved axes the sizes of the last reduced one, of that before, and of what lies between
  run_before: u32,
  between: u32,
  first_segment: u32,      // the segment that is number 0 here, where x is cut between segments
  // Of local response normalization. x is [segments, channels, inner]: a segment is a sample (channels-first) or a
  // position (channels-last, inner 1).
  segments: u32,
  before: u32,             // a window is channels c − before … c + after, as far as they exist
  after: u32,
  scale: f32,              // alpha / size
  k: f32,
  beta: f32,
  beta_head: f32,          // beta = beta_head + beta_tail, the head of eleven bits
  beta_tail: f32,
  slope: f32,              // 2·alpha·beta / size
  first_inner: u32,        // positions first_inner … first_inner + span − 1 of every channel are this dispatch's
}

var<uniform> params: Params;

fn add_up(v: vec4<f32>) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}
