// dx = dy·d^−beta − slope·x·Σ dy·x·d^(−beta − 1), summed over the windows that an element lies in: the window of
// response/forward.wgsl mirrored.
//
// Mapping: as response/forward.wgsl. The summands come from ratios_computed.wgsl or ratios_stored.wgsl.
// Bindings: x, dy, dx [runs, channels, inner]; ratios where they are stored.
// Numerics: sums in blocks. Determinism: every window has a fixed order.
fn gradient(p: Place, channel: u32, d: V, sum: V) -> V {
  let c = min(channel, params.channels - 1u);
  return dy_at(p, c) * power(d) - params.slope * x_at(p, c) * sum;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let p = place_of((wid.x + wid.y * grid.x) * WORKGROUP + index);
  if (!p.alive) {
    return;
  }
  let first = p.channel;
  let end = min(first + 4u + params.before, params.channels);
  var total = Four();
  var c = first - min(first, params.after);
  while (c < end) {
    let stop = min(end, c + BLOCK);
    var block = Four();
    for (; c < stop; c++) {
      block = gathered(block, ratio_at(p, c), c, first, params.after, params.before);
    }
    total = plus(total, block);
  }
  let d = denominators(p, first);
  emit_dx(p, Four(
    gradient(p, first, d.a, total.a),
    gradient(p, first + 1u, d.b, total.b),
    gradient(p, first + 2u, d.c, total.c),
    gradient(p, first + 3u, d.d, total.d),
  ));
}
