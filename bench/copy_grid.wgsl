// destination = source, four f32 at a time: the traffic of a norm without its arithmetic.
//
// Mapping: neighbouring threads take neighbouring vec4s and stride by the whole dispatch.
// Bindings: source, destination [n] vec4.
// The host guarantees at most 65535 workgroups.
@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> destination: array<vec4<f32>>;

override WORKGROUP: u32 = 64;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
) {
  let count = arrayLength(&source);
  for (var i = id.x; i < count; i += grid.x * WORKGROUP) {
    destination[i] = source[i];
  }
}
