// merged_statistics
// needs: abreast params reduce set_parts set_statistics statistics worker
// The statistics of a set from its partial ones, merged by the lanes of a worker: by a kernel of its own (merge/statistics.wgsl),
// or by every worker of the pass that applies them (interfaces/source/merged.wgsl). All lanes get the result, and all workers that
// merge the same set get the same bits: parts are merged in a fixed order, whatever order they were written in.
//
// partials: [samples, splits, channels] (n, mean − k, M2, k), where a split row counts as one channel, every position of a split
// channel has splits of its own, and every column counts as a channel of the group.
var<storage, read> partials: array<vec4<f32>>;

// Whether there are no more parts than lanes.
override ONE_PART_EACH: bool = false;

struct MergedStatistics {
  part: Part,
  k: f32,  // what the mean of the part is relative to
}

fn merged_statistics(which: u32, worker: Worker) -> MergedStatistics {
  let parts = parts_of(which);

  // Thousands of parts may meet here, and each merge rounds mean − k: so merge about an estimate of the mean, and in
  // blocks about the root of their number long.
  var k = partials[parts.first].w;
  let samples = min(parts.count, 16u);
  var estimate = 0.0;
  if (ABREAST) {
    // A constant number of them, so that half or a quarter of them are asked for at once: all sixteen take 64 registers.
    for (var first = 0u; first < 16u; first += 2u * AT_ONCE) {
      var some: array<vec4<f32>, 2u * AT_ONCE>;
      for (var i = 0u; i < 2u * AT_ONCE; i++) {
        some[i] = partials[part_at(parts, min(first + i, samples - 1u) * (parts.count / samples))];
      }
      for (var i = 0u; i < 2u * AT_ONCE; i++) {
        estimate += select(0.0, relative(some[i], k), first + i < samples);
      }
    }
  } else {
    for (var j = 0u; j < samples; j++) {
      estimate += relative(partials[part_at(parts, j * (parts.count / samples))], k);
    }
  }
  if (!out_of_range(estimate)) {
    // Rounded here and now: a compiler must not add the estimate to differences instead (`opaque_ones` in
    // interfaces/statistics/moments.wgsl).
    k = bitcast<f32>(bitcast<u32>(k + estimate / f32(samples)) & params.opaque_ones);
  }

  var total = Part();
  var p = first_part(parts, worker.lane);
  if (ONE_PART_EACH) {
    total = unpack_to(part_or_none(parts, p), k);
  } else {
    while (p.number < parts.count) {
      let stop = min(parts.count, p.number + params.block * LANES);
      var block = Part();
      if (ABREAST) {
        while (p.number < stop) {
          // Four by name: no compiler unrolls a loop over merges, and not each has registers for an array then.
          let second = next_part(parts, p);
          let third = next_part(parts, second);
          let fourth = next_part(parts, third);
          let v0 = part_or_none(parts, p);
          let v1 = part_or_none(parts, second);
          let v2 = part_or_none(parts, third);
          let v3 = part_or_none(parts, fourth);
          block = merge(block, unpack_to(v0, k));
          block = merge(block, unpack_to(v1, k));
          block = merge(block, unpack_to(v2, k));
          block = merge(block, unpack_to(v3, k));
          p = next_part(parts, fourth);
        }
      } else {
        while (p.number < stop) {
          block = merge(block, unpack_to(partials[p.at], k));
          p = next_part(parts, p);
        }
      }
      total = merge(total, block);
    }
  }
  return MergedStatistics(reduce(total, worker), k);
}

// A part of the set, or one of no elements behind the last.
fn part_or_none(parts: SetParts, p: SetPart) -> vec4<f32> {
  return select(vec4<f32>(), partials[min(p.at, parts.last)], p.number < parts.count);
}
