// merge/statistics
// needs: outcome params reduce set_statistics statistics worker
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
  let which = worker.id;
  let width = params.channels / params.groups;
  let first = (which / params.groups) * params.splits * params.channels + (which % params.groups) * width;

  // Thousands of parts may meet here, and each merge rounds mean − k: so merge about an estimate of the mean, and in
  // blocks about the root of their number long.
  var k = partials[first].w;
  let parts = params.splits * width;
  let samples = min(parts, 16u);
  var estimate = 0.0;
  for (var j = 0u; j < samples; j++) {
    estimate += relative(partials[part_at(first, width, j * (parts / samples))], k);
  }
  if (!out_of_range(estimate)) {
    // Rounded here and now: a compiler must not add the estimate to differences instead (`opaque_ones` in
    // interfaces/statistics/moments.wgsl).
    k = bitcast<f32>(bitcast<u32>(k + estimate / f32(samples)) & params.opaque_ones);
  }

  var total = Part();
  var j = worker.lane;
  while (j < parts) {
    let stop = min(parts, j + params.block * LANES);
    var block = Part();
    for (; j < stop; j += LANES) {
      block = merge(block, unpack_to(partials[part_at(first, width, j)], k));
    }
    total = merge(total, block);
  }
  total = reduce(total, worker);
  if (worker.lane == 0u && !worker.surplus) {
    let s = finish(total, k);
    store_outcome(which, s, total);
  }
}

// Where part j of a set lies: its channels are neighbours, its splits a row of channels apart.
fn part_at(first: u32, width: u32, j: u32) -> u32 {
  return first + (j / width) * params.channels + j % width;
}
