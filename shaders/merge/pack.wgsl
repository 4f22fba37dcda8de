// merge/pack
// mean and rstd of every set in one array.
//
// Mapping: a thread per set.
// Bindings: mean [sets] (hi, lo); rstd [sets]; statistics [sets] (hi, lo, rstd, 0).
@group(0) @binding(7) var<storage, read> mean: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read> rstd: array<f32>;
@group(0) @binding(20) var<storage, read_write> statistics: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let which = (wid.x + wid.y * grid.x) * WORKGROUP + index;
  if (which >= params.samples * params.groups) {
    return;
  }
  let source = params.first_set + which;
  statistics[which] = vec4<f32>(mean[source], rstd[source], 0.0);
}
