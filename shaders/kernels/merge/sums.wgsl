// merge/sums
// needs: abreast gradient_stores params reduce set_parts set_statistics statistics storage worker
// mean(g) and mean(g·x̂) of every set from their partial sums, g = dy·weight.
// PER_CHANNEL: the partials are of dy alone and per channel, and meet weight here.
// MAKES_GRADIENTS: a set is a channel, and there is no other of that channel: the sums of dy are dbias and dweight.
//
// Mapping: LANES lanes per set; a set's parts are splits × (channels / groups).
// Bindings: partials [samples, splits, channels] (Σdy, Σdy·x̂); weight [channels]; rstd [samples·groups];
// weight is one for `inner` neighbouring partials, where that is not 1 a set is one channel; dweight, dbias [channels];
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
// Whether a set is one channel, which has one weight.
override ONE_CHANNEL: bool = false;
override MAKES_GRADIENTS: bool = false;
// Statistics that do not depend on x (BatchNorm in evaluation): dx = rstd·dy·weight, so both means count as zero.
override FROZEN: bool = false;
// Whether the mean rides along, too.
override JOINT: bool = false;
override HAS_MEAN: bool = true;
override HAS_WEIGHT: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.samples * params.groups);
  let which = worker.id;
  let parts = parts_of(worker);
  let group = which % params.groups;
  var w = 1.0;  // of a set of one channel
  if (PER_CHANNEL) {
    if (HAS_WEIGHT) {
      if (ONE_CHANNEL) {
        w = f32(weight[group]);
      }
    }
  }

  var part = Part();
  var unweighted = Part();
  var p = first_part(parts, worker.lane);
  while (p.number < parts.count) {
    let stop = min(parts.count, p.number + params.block * LANES);
    var block = Part();
    var block_unweighted = Part();
    if (ABREAST) {
      while (p.number < stop) {
        var some: array<Part, AT_ONCE>;
        var factors: array<f32, AT_ONCE>;
        for (var i = 0u; i < AT_ONCE; i++) {
          let one = partials[min(p.at, parts.last)];
          some[i] = select(Part(), one, p.number < parts.count);
          factors[i] = factor_of(group * parts.width + p.column, w);
          p = next_part(parts, p);
        }
        for (var i = 0u; i < AT_ONCE; i++) {
          block += some[i] * factors[i];
          if (MAKES_GRADIENTS) {
            block_unweighted += some[i];
          }
        }
      }
    } else {
      while (p.number < stop) {
        let one = partials[p.at];
        block += one * factor_of(group * parts.width + p.column, w);
        if (MAKES_GRADIENTS) {
          block_unweighted += one;
        }
        p = next_part(parts, p);
      }
    }
    part += block;
    if (MAKES_GRADIENTS) {
      unweighted += block_unweighted;
    }
  }
  part = reduce(part, worker) / params.count;
  if (MAKES_GRADIENTS) {
    unweighted = reduce(unweighted, worker);
  }
  if (worker.lane == 0u && !worker.surplus) {
    if (MAKES_GRADIENTS) {
      store_gradients(which, unweighted.x, unweighted.y);
    }
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

// What a part is multiplied by: the weight of its channel. `one` is that of a set of one channel.
fn factor_of(channel: u32, one: f32) -> f32 {
  if (PER_CHANNEL) {
    if (HAS_WEIGHT) {
      if (ONE_CHANNEL) {
        return one;
      } else {
        return f32(weight[channel]);
      }
    } else {
      return 1.0;
    }
  } else {
    return 1.0;
  }
}
