// rows/backward_apply
// needs: affine_map params saved_statistics segments set_statistics tensors upstream worker
// dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), g = dz·weight (dz: shared/upstream.wgsl), where weight belongs to channels and
// the means over each set are known from merge/sums.wgsl.
//
// Mapping: LANES lanes per (segment, split), a segment being a channel (interfaces/segments/channel.wgsl); split s holds
// quads s·split_length, …
// Bindings: x, dy, dx; weight, bias [channels]; mean [sets] (hi, lo); sums [sets] (mean(g), mean(g·x̂), scale, unit).
var<storage, read> sums: array<vec4<f32>>;

// As in merge/sums.wgsl: dx = rstd·dz·weight.
override FROZEN: bool = false;
// Whether x̂ is: not where FROZEN meets no activation.
override NEEDS_X: bool = true;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.rows * params.splits);
  if (worker.surplus) { return; }
  let segment = worker.id / params.splits;
  let which = set_of_segment(segment);
  let base = segment * params.cols;
  let first = (worker.id % params.splits) * params.split_length;
  let end = min(first + params.split_length, (params.cols + 3u) / 4u);
  let means = sums[which];
  let s = saved_mean(which, means.z, means.w);
  let parameters = parameters_of(segment);
  let w = weight_at(parameters, 0u, 1u);
  let b = shift_at(parameters, 0u, 1u);
  let slope = s.scale * means.y;
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
    store_dx(at, valid, s.scale * fma(g, vec4<f32>(s.unit), vec4<f32>(-s.unit * means.x)));
  }
}
