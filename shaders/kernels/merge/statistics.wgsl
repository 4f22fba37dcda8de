// merge/statistics
// needs: abreast outcome params reduce set_parts set_statistics statistics worker
// mean and rstd of every set from its partial statistics.
//
// Mapping: LANES lanes per set; lane l takes parts l, l + LANES, … A set's parts are splits × (channels / groups).
// Bindings: partials [samples, splits, channels] (n, mean − k, M2, k), where a split row counts as one channel,
// every position of a split channel has splits of its own, and every column counts as a channel of the group;
// mean [samples·groups] (hi, lo); rstd [samples·groups].
// Determinism: parts are merged in a fixed order, whatever order they were written in.
var<storage, read> partials: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.samples * params.groups);
  let parts = parts_of(worker);

  // Thousands of parts may meet here, and each merge rounds mean − k: so merge about an estimate of the mean, and in
  // blocks about the root of their number long.
  var k = partials[parts.first].w;
  let samples = min(parts.count, 16u);
  var estimate = 0.0;
  if (ABREAST) {
    // A constant number of them, so that all are asked for at once.
    var some: array<vec4<f32>, 16>;
    for (var i = 0u; i < 16u; i++) {
      some[i] = partials[part_at(parts, min(i, samples - 1u) * (parts.count / samples))];
    }
    for (var i = 0u; i < 16u; i++) {
      estimate += select(0.0, relative(some[i], k), i < samples);
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
  total = reduce(total, worker);
  if (worker.lane == 0u && !worker.surplus) {
    let s = finish(total, k);
    store_outcome(worker.id, s, total);
  }
}

// A part of the set, or one of no elements behind the last.
fn part_or_none(parts: SetParts, p: SetPart) -> vec4<f32> {
  return select(vec4<f32>(), partials[min(p.at, parts.last)], p.number < parts.count);
}
