// rows/backward_apply
// dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), g = dz·weight (dz: lib/upstream*.wgsl), where weight belongs to channels and the means over each set are known
// from merge/sums.wgsl.
//
// Mapping: LANES lanes per (run, slot), a run being a channel (lib/runs_channel.wgsl); slot s holds quads s·slot_length, …
// Bindings: x, dy, dx; weight, bias [channels]; mean [sets] (hi, lo); sums [sets] (mean(g), mean(g·x̂), scale, unit).
@group(0) @binding(13) var<storage, read> sums: array<vec4<f32>>;

// As in merge/sums.wgsl: dx = rstd·dz·weight.
override FROZEN: bool = false;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let worker = (wid.x + wid.y * grid.x) * (WORKGROUP / LANES) + index / LANES;
  if (worker >= params.rows * params.slots) {
    return;
  }
  let run = worker / params.slots;
  let which = set_of_run(run);
  let base = run * params.cols;
  let first = (worker % params.slots) * params.slot_length;
  let end = min(first + params.slot_length, (params.cols + 3u) / 4u);
  let known = sums[which];
  let s = saved_mean(which, known.z, known.w);
  let w = weight_at(run, 0u, 1u);
  let b = shift_at(run, 0u, 1u);
  for (var q = first + index % LANES; q < end; q += LANES) {
    let valid = valid_of(params.cols - 4u * q);
    let at = place(base + 4u * q);
    var centred = vec4<f32>();
    if (!FROZEN || HAS_ACTIVATION) {
      centred = centre(load_x(at, valid), s);
    }
    var g = upstream(at, valid, affine(centred, s.scale, w, b)) * w;
    if (!FROZEN) {
      g = g - known.x - centred * s.scale * known.y;
    }
    store_dx(at, valid, s.scale * g * s.unit);
  }
}
