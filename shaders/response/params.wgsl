// response/params
// The numbers of one dispatch of local response normalization, in place of lib/params.wgsl. The host lays out the same
// fifteen words (src/kernels/response.ts).
//
// x is [runs, channels, inner], row-major: a run is a sample (channels-first) or a position (channels-last, inner 1).
struct Params {
  runs: u32,
  channels: u32,
  inner: u32,
  before: u32,  // a window is channels c − before … c + after, as far as they exist
  after: u32,
  mask: u32,    // 0xffffffff; the compiler must not know that
  first_element: u32,  // where x and its likes begin in their bindings, which start at aligned offsets
  scale: f32,   // alpha / size
  k: f32,
  beta: f32,
  beta_head: f32,  // beta = beta_head + beta_tail, the head of eleven bits
  beta_tail: f32,
  slope: f32,   // 2·alpha·beta / size
  first_inner: u32,  // positions first_inner … first_inner + span − 1 of every channel are this dispatch's
  span: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
