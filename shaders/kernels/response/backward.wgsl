// response/backward
// needs: elements params response_power response_window worker
// dx = dy·d^−beta − slope·x·Σ dy·x·d^(−beta − 1), summed over the windows that an element lies in: the window of
// response/forward.wgsl mirrored.
//
// Mapping: as response/forward.wgsl.
// Bindings: x, dy, dx [segments, channels, inner]; ratios [segments, channels, span] from response/ratios.wgsl.
// Numerics: sums in blocks. Determinism: every window has a fixed order.
var<storage, read> ratios: array<V>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let p = place_of(thread_id(invocation));
  if (!p.in_range) { return; }
  let w = window_of(p, params.after, params.before);
  var total = V();
  var c = w.first;
  while (c < w.end) {
    let stop = min(w.end, c + BLOCK);
    var block = V();
    for (; c < stop; c++) { block += ratios[own_index_in(p, c)]; }
    total += block;
  }
  write_dx(p.at, read_dy(p.at) * power(denominator(p)) - params.slope * read_x(p.at) * total);
}
