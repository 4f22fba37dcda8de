// rows/backward_channels
// needs: affine_map params reduce saved_statistics set_statistics statistics tensors upstream worker
// dx and the partials of dweight and dbias of GroupNorm and InstanceNorm over x[samples, channels, inner], in one
// dispatch: a set is channels / groups channels that lie behind each other. x and dy are read a second time for dx, from
// a cache.
//   A_c = Σ dz, B_c = Σ dz·x̂ per channel;  dx = rstd·(dz·weight − Σ weight·A / count − x̂·Σ weight·B / count)
//
// Mapping: LANES lanes per set, WORKGROUP / LANES sets per workgroup.
// Bindings: x, dy, dx; weight, bias [channels]; mean [sets] (hi, lo); rstd [sets]; partials [samples, channels] (A, B).
// Numerics: centred sums, in blocks about the root of their number long. Determinism: one writer per partial.
// The host guarantees enough workgroups; surplus ones do nothing.
var<storage, read_write> partials: array<vec2<f32>>;

const CHUNK = 16u;  // quads in a chunk
// As in shared/scan.wgsl.
override BLOCKS: bool = true;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.samples * params.groups);
  let which = worker.id;
  let width = params.channels / params.groups;
  let channel = (which % params.groups) * width;
  let base = which * width * params.inner;
  let quads = (params.inner + 3u) / 4u;
  let s = saved(which);

  var total = Part();
  var block_of_channels = Part();
  for (var c = 0u; c < width; c++) {
    let start = base + c * params.inner;
    let parameters = parameters_of(which * width + c);
    let w = weight_at(parameters, 0u, 1u);
    let b = shift_at(parameters, 0u, 1u);
    var part = Part();
    var block = Part();
    var merged = 0u;
    var q = worker.lane;
    while (q < quads) {
      let stop = min(quads, q + CHUNK * LANES);
      var sum_dz = vec4<f32>();
      var sum_dz_xhat = vec4<f32>();
      for (; q < stop; q += LANES) {
        let valid = valid_of(params.inner - 4u * q);
        let at = place(start + 4u * q);
        let centred = centre(load_x(at, valid), s);
        let dz = within(valid, upstream(at, valid, affine(centred, s.scale, w, b)));
        sum_dz += dz;
        sum_dz_xhat += dz * within(valid, centred * s.scale);
      }
      let chunk = Part(add_up(sum_dz), add_up(sum_dz_xhat));
      if (BLOCKS) {
        block += chunk;
        merged += 1u;
        if (merged == params.block) {
          part += block;
          block = Part();
          merged = 0u;
        }
      } else {
        part += chunk;
      }
    }
    part = reduce(part + block, worker);
    if (worker.lane == 0u && !worker.surplus) {
      partials[(which / params.groups) * params.channels + channel + c] = part;
    }
    block_of_channels += w.x * part;
    if (c % 32u == 31u) {
      total += block_of_channels;
      block_of_channels = Part();
    }
  }
  total = (total + block_of_channels) / params.count;
  let slope = s.scale * total.y;
  if (worker.surplus) { return; }
  for (var c = 0u; c < width; c++) {
    let start = base + c * params.inner;
    let parameters = parameters_of(which * width + c);
    let w = weight_at(parameters, 0u, 1u);
    let b = shift_at(parameters, 0u, 1u);
    for (var q = worker.lane; q < quads; q += LANES) {
      let valid = valid_of(params.inner - 4u * q);
      let at = place(start + 4u * q);
      let centred = centre(load_x(at, valid), s);
      let dz = upstream(at, valid, affine(centred, s.scale, w, b));
      let g = fma(-centred, vec4<f32>(slope), dz * w);
      store_dx(at, valid, s.scale * fma(g, vec4<f32>(s.unit), vec4<f32>(-s.unit * total.x)));
    }
  }
}
