// mean and rstd of every set from its partial statistics.
//
// Mapping: LANES lanes per set; lane l takes parts l, l + LANES, … A set's parts are slots × (channels / groups).
// Bindings: partials [samples, slots, channels] (n, mean − k, M2, k), where a split row counts as one channel;
// mean [samples·groups] (hi, lo); rstd [samples·groups].
// Determinism: parts are merged in a fixed order, whatever order they were written in.
@group(0) @binding(12) var<storage, read> partials: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let lane = index % LANES;
  let wanted = (wid.x + wid.y * grid.x) * (WORKGROUP / LANES) + index / LANES;
  let sets = params.samples * params.groups;
  let which = min(wanted, sets - 1u);
  let width = params.channels / params.groups;
  let first = (which / params.groups) * params.slots * params.channels + (which % params.groups) * width;

  var part = Part();
  for (var j = lane; j < params.slots * width; j += LANES) {
    part = merge(part, unpack(partials[first + (j / width) * params.channels + j % width]));
  }
  part = reduce(part, lane, index);
  if (lane == 0u && wanted < sets) {
    save(which, finish(part, partials[first].w));
  }
}
