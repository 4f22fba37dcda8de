// optim/update_scale
// needs: worker
// The scale of the loss for the next step, as torch.amp.GradScaler.update: times backoff where something was not finite, times
// growth after growth_interval steps in a row without that.
//
// Mapping: one thread.
// Bindings: found_inf, of each optimizer at a multiple of stride, cleared; scale [1] and its inverse; growth_tracker [1].
// Numerics: f32. A scale that would be infinite stays.
struct Params {
  optimizers: u32,
  stride: u32,
  growth: f32,
  backoff: f32,
  growth_interval: u32,
}

var<uniform> params: Params;
var<storage, read_write> found_inf: array<u32>;
var<storage, read_write> loss_scale: array<f32>;
var<storage, read_write> inverse_scale: array<f32>;
var<storage, read_write> growth_tracker: array<u32>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  if (thread_id(invocation) == 0u) {
    var found = 0u;
    for (var i = 0u; i < params.optimizers; i++) {
      found |= found_inf[i * params.stride];
      found_inf[i * params.stride] = 0u;
    }
    var good = growth_tracker[0] + 1u;
    var next = loss_scale[0];
    if (found > 0u) {
      next *= params.backoff;
      good = 0u;
    } else if (good >= params.growth_interval) {
      let grown = next * params.growth;
      if ((bitcast<u32>(grown) & 0x7f800000u) < 0x7f800000u) { next = grown; }
      good = 0u;
    }
    growth_tracker[0] = good;
    loss_scale[0] = next;
    inverse_scale[0] = 1.0 / next;
  }
}
