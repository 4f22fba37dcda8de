// merged_sums
// needs: abreast params reduce set_parts statistics storage worker
// given by the kernel: weight
// mean(g) and mean(g·x̂) of a set from its partial sums, g = dy·weight, merged by the lanes of a worker: by a kernel of its own
// (merge/sums.wgsl), or by every worker of the pass that makes dx of them (interfaces/means/merged.wgsl). All lanes get the result, and
// all workers that merge the same set get the same bits: blocks about the root of the number of parts, added in a fixed order.
//
// PER_CHANNEL: the partials are of dy alone and per channel, and meet weight here.
// partials: [samples, splits, channels] (Σdy, Σdy·x̂); weight [channels] is one for `inner` neighbouring partials; where that is not 1
// a set is one channel.
var<storage, read> partials: array<vec2<f32>>;

override PER_CHANNEL: bool = false;
// Whether a set is one channel, which has one weight.
override ONE_CHANNEL: bool = false;
// Whether the sums of dy make dbias and dweight: a set is a channel then, and there is no other of that channel.
override MAKES_GRADIENTS: bool = false;
// Statistics that do not depend on x (BatchNorm in evaluation): dx = rstd·dy·weight, so both means count as zero.
override FROZEN: bool = false;
override HAS_WEIGHT: bool = false;
// As in shared/affine_map.wgsl.
override WEIGHT_OFFSET: f32 = 0.0;

struct MergedSums {
  means: Part,       // of g and g·x̂
  unweighted: Part,  // the sums of dy and dy·x̂, with MAKES_GRADIENTS
}

// `w` is the weight of a set of one channel.
fn merged_sums(which: u32, worker: Worker, w: f32) -> MergedSums {
  let parts = parts_of(which);
  let group = which % params.groups;
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
  return MergedSums(select(part, Part(), FROZEN), unweighted);
}

// What a part is multiplied by: the weight of its channel. `one` is that of a set of one channel.
fn factor_of(channel: u32, one: f32) -> f32 {
  if (PER_CHANNEL) {
    if (HAS_WEIGHT) {
      if (ONE_CHANNEL) {
        return one;
      } else {
        return w_element(weight[w_entry(channel)], channel) + WEIGHT_OFFSET;
      }
    } else {
      return 1.0;
    }
  } else {
    return 1.0;
  }
}
