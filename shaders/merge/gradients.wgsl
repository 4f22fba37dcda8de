// merge/gradients
// dweight and dbias from the partials of a backward pass: the sum over slots, in order.
//
// Mapping: LANES lanes per channel (lib/sum_of_slots.wgsl).
// Bindings: partials [slots, channels, inner] (Σdy, Σdy·x̂); dweight, dbias, of which `channels` from first_col are written.
// Numerics: two levels of sums, one rounding at the store; ACCUMULATE_* add to what the gradients hold, before it.
// Determinism: slots are added in a fixed order, whatever order they were written in.
@group(0) @binding(12) var<storage, read> partials: array<vec2<f32>>;
@group(0) @binding(14) var<storage, read_write> dweight: array<W>;
@group(0) @binding(15) var<storage, read_write> dbias: array<W>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let lane = index % LANES;
  let wanted = (wid.x + wid.y * grid.x) * (WORKGROUP / LANES) + index / LANES;
  let channel = min(wanted, params.channels - 1u);
  var total = sum_of_slots(channel, lane, index);
  if (lane > 0u || wanted >= params.channels) {
    return;
  }
  let at = params.first_col + channel;
  if (WANTS_BIAS) {
    if (ACCUMULATE_BIAS) {
      total.x += f32(dbias[at]);
    }
    dbias[at] = W(total.x);
  }
  if (WANTS_WEIGHT) {
    if (ACCUMULATE_WEIGHT) {
      total.y += f32(dweight[at]);
    }
    dweight[at] = W(total.y);
  }
}
