// Partial Σg and Σg·x̂ of runs that are split over slots; merge/sums.wgsl makes what dx needs of them.
// PER_CHANNEL false: a run is a row and g = dy·weight. PER_CHANNEL true: a run is one channel of a sample, `inner`
// elements long, and g = dy; the same partials also make dweight and dbias (merge/gradients.wgsl).
//
// Mapping: LANES lanes per (run, slot); slot s holds quads s·slot_length, … of its run.
// Bindings: x, dy [rows, cols]; weight [cols]; mean [sets] (hi, lo); rstd [sets];
// partials [samples, slots, channels], with one channel where a run is a row.
// Numerics: centred sums, in blocks about the root of their number long. Determinism: one writer per slot.
@group(0) @binding(12) var<storage, read_write> partials: array<vec2<f32>>;

override PER_CHANNEL: bool = false;

const CHUNK = 16u;  // quads in a chunk

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let lane = index % LANES;
  let wanted = (wid.x + wid.y * grid.x) * (WORKGROUP / LANES) + index / LANES;
  let worker = min(wanted, params.rows * params.slots - 1u);
  let run = worker / params.slots;
  let slot = worker % params.slots;
  let base = run * params.cols;
  let first = slot * params.slot_length;
  let end = min(first + params.slot_length, (params.cols + 3u) / 4u);

  var which = run;
  var at = worker;
  if (PER_CHANNEL) {
    let sample = run / params.channels;
    let channel = run % params.channels;
    which = sample * params.groups + channel / (params.channels / params.groups);
    at = (sample * params.slots + slot) * params.channels + channel;
  }
  let s = saved(which);

  var total = Part();
  var block = Part();
  var merged = 0u;
  var q = first + lane;
  while (q < end) {
    let stop = min(end, q + CHUNK * LANES);
    var sum_g = vec4<f32>();
    var sum_g_xhat = vec4<f32>();
    for (; q < stop; q += LANES) {
      let col = 4u * q;
      let valid = valid_of(params.cols - col);
      var g = within(valid, load_dy(base + col, valid));
      if (!PER_CHANNEL) {
        g *= weight_at(run, col, valid);
      }
      sum_g += g;
      sum_g_xhat += g * within(valid, centre(load_x(base + col, valid), s) * s.rstd);
    }
    block += Part(add_up(sum_g), add_up(sum_g_xhat));
    merged += 1u;
    if (merged == params.block) {
      total += block;
      block = Part();
      merged = 0u;
    }
  }
  total = reduce(total + block, lane, index);
  if (lane == 0u && wanted < params.rows * params.slots) {
    partials[at] = total;
  }
}
