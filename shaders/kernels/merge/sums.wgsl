// merge/sums
// needs: params reduce set_statistics statistics storage worker
// mean(g) and mean(g·x̂) of every set from their partial sums, g = dy·weight.
// PER_CHANNEL: the partials are of dy alone and per channel, and meet weight here.
//
// Mapping: LANES lanes per set; a set's parts are splits × (channels / groups).
// Bindings: partials [samples, splits, channels] (Σdy, Σdy·x̂); weight [channels]; rstd [samples·groups];
// weight is one for `inner` neighbouring partials;
// mean [samples·groups] (hi, lo), with JOINT;
// sums [samples·groups] (mean(g), mean(g·x̂), scale, unit): scale and unit are what shared/set_statistics.wgsl makes of
// rstd. They are stored here because some kernels have no binding left for rstd, and because making them again in every
// thread is slow: LayerNorm's backward pass at 4096×1024 took 42 ms on SwiftShader when its threads did that, and takes
// 37 now. With JOINT there are two vec4s per set, the second (hi, lo, 0, 0), both multiplied by unit.
// Numerics: blocks about the root of the number of parts. Determinism: parts are added in a fixed order.
var<storage, read> partials: array<vec2<f32>>;
var<storage, read_write> sums: array<vec4<f32>>;
var<storage, read> weight: array<W>;
var<storage, read> mean: array<vec2<f32>>;
var<storage, read> rstd: array<f32>;

override PER_CHANNEL: bool = false;
// Statistics that do not depend on x (BatchNorm in evaluation): dx = rstd·dy·weight, so both means count as zero.
override FROZEN: bool = false;
// Whether the mean rides along, too.
override JOINT: bool = false;
override HAS_MEAN: bool = true;
override HAS_WEIGHT: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.samples * params.groups);
  let which = worker.id;
  let width = params.channels / params.groups;
  let channel = (which % params.groups) * width;
  let first = (which / params.groups) * params.splits * params.channels + channel;

  var part = Part();
  var j = worker.lane;
  while (j < params.splits * width) {
    let stop = min(params.splits * width, j + params.block * LANES);
    var block = Part();
    for (; j < stop; j += LANES) {
      var one = partials[first + (j / width) * params.channels + j % width];
      if (PER_CHANNEL) {
        if (HAS_WEIGHT) {
          one *= f32(weight[(channel + j % width) / params.inner]);
        }
      }
      block += one;
    }
    part += block;
  }
  part = reduce(part, worker) / params.count;
  if (worker.lane == 0u && !worker.surplus) {
    let r = bitcast<u32>(rstd[params.first_set + which]);
    if (JOINT) {
      var m = vec2<f32>();
      if (HAS_MEAN) {
        m = mean[params.first_set + which];
      }
      let s = statistics_from(m.x, m.y, r);
      sums[2u * which] = vec4<f32>(select(part, Part(), FROZEN), s.scale, s.unit);
      sums[2u * which + 1u] = vec4<f32>(s.hi, s.lo, 0.0, 0.0);
    } else {
      let s = statistics_from(0.0, 0.0, r);
      sums[which] = vec4<f32>(select(part, Part(), FROZEN), s.scale, s.unit);
    }
  }
}
