// merge/pack
// needs: params set_statistics worker
// mean and rstd of every set in one array.
//
// Mapping: a thread per set.
// Bindings: mean [sets] (hi, lo); rstd [sets]; statistics [sets] (hi, lo, rstd, 0).
var<storage, read> mean: array<vec2<f32>>;
var<storage, read> rstd: array<f32>;
var<storage, read_write> statistics: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let which = thread_id(invocation);
  if (which >= params.samples * params.groups) { return; }
  let source = params.first_set + which;
  var m = vec2<f32>();
  if (HAS_MEAN) {
    m = mean[source];
  }
  statistics[which] = vec4<f32>(m, rstd[source], 0.0);
}
