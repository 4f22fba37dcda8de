// sum_of_slots
// needs: params reduce statistics worker
// given by the kernel: partials
// The sum of a channel's partials [slots, channels, inner], in two levels and in a fixed order: lane l adds slots l, l + LANES, …
fn sum_of_slots(channel: u32, lane: u32, index: u32) -> Part {
  var total = Part();
  var slot = lane;
  while (slot < params.slots) {
    let stop = min(params.slots, slot + params.block * LANES);
    var block = Part();
    for (; slot < stop; slot += LANES) {
      let first = (slot * params.channels + channel) * params.inner;
      for (var i = 0u; i < params.inner; i++) {
        block += partials[first + i];
      }
    }
    total += block;
  }
  return reduce(total, lane, index);
}
