// rows/backward_apply
// needs: affine_map means params row_sums segments set_statistics tensors upstream worker
// dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), g = dz·weight (dz: shared/upstream.wgsl), where weight belongs to channels. The means over each
// set are known from merge/sums.wgsl, or merged here (interfaces/means).
//
// Mapping: LANES lanes per (segment, split), a segment being a channel (interfaces/segments/channel.wgsl); split s holds
// quads s·split_length, … of its segment, and of the same channel's segments at the next positions with SEVERAL_PLANES.
// Bindings: x, dy, dx; weight, bias [channels]; mean [sets] (hi, lo); sums [sets] (mean(g), mean(g·x̂), scale, unit). Merged here:
// partials, rstd, and dweight, dbias [channels].
// As in shared/merged_sums.wgsl: dx = rstd·dz·weight.
override FROZEN: bool = false;
// Whether x̂ is: not where FROZEN meets no activation.
override NEEDS_X: bool = true;
// As in rows/apply.wgsl.
override SEVERAL_PLANES: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows * params.splits);
  let segment = worker.id / params.splits;
  let parameters = parameters_of(segment);
  let w = weight_at(parameters, 0u, 1u);
  let b = shift_at(parameters, 0u, 1u);
  let begins = worker.id % params.splits == 0u && begins_set(segment);
  let means = means_for(worker, set_of_segment(segment), begins, w.x);
  if (worker.surplus) { return; }
  if (SEVERAL_PLANES) {
    let base = base_of_segment(segment);
    for (var plane = 0u; plane < planes_of_segment(segment); plane++) {
      apply_plane(worker, base + plane * params.channels * params.cols, means, w, b);
    }
  } else {
    apply_plane(worker, segment * params.cols, means, w, b);
  }
}

fn apply_plane(worker: Worker, base: u32, means: RowSums, w: vec4<f32>, b: vec4<f32>) {
  let s = means.s;
  let slope = s.scale * means.mean_g_xhat;
  let first = (worker.id % params.splits) * params.split_length;
  let end = min(first + params.split_length, (params.cols + 3u) / 4u);
  for (var q = first + worker.lane; q < end; q += LANES) {
    let valid = valid_of(params.cols - 4u * q);
    let at = place(base + 4u * q);
    var centred = vec4<f32>();
    if (NEEDS_X) {
      centred = centre(load_x(at, valid), s);
    }
    var g = upstream(at, valid, affine(centred, s.scale, w, b)) * w;
    if (!FROZEN) {
      g = fma(-centred, vec4<f32>(slope), g);
    }
    store_dx(at, valid, s.scale * fma(g, vec4<f32>(s.unit), vec4<f32>(-s.unit * means.mean_g)));
  }
}
