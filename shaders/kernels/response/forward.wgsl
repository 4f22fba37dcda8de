// response/forward
// needs: elements response_power response_window worker
// y = x·d^−beta with d = k + alpha/size·Σx² over a window of channels.
//
// Mapping: a thread per element (elements.wgsl) or quad (quads.wgsl). No barrier.
// Bindings: x, y [segments, channels, inner].
// Determinism: every window has a fixed order.
@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let p = place_of(thread_id(invocation));
  if (!p.in_range) { return; }
  write_y(p.at, read_x(p.at) * power(denominator(p)));
}
