// destination = source, four f32 at a time, for devices that run a thread as a loop on a CPU core.
//
// Mapping: a thread takes a row of ROW consecutive vec4s, eight per turn.
// Bindings: source, destination [n] vec4.
// The host guarantees that ROW is a multiple of 8 and n one of ROW, and at most 65535 workgroups.
@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> destination: array<vec4<f32>>;

override WORKGROUP: u32 = 64;
override ROW: u32 = 256;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let first = id.x * ROW;
  if (first >= arrayLength(&source)) {
    return;
  }
  for (var i = first; i < first + ROW; i += 8u) {
    let a = source[i];
    let b = source[i + 1u];
    let c = source[i + 2u];
    let d = source[i + 3u];
    let e = source[i + 4u];
    let f = source[i + 5u];
    let g = source[i + 6u];
    let h = source[i + 7u];
    destination[i] = a;
    destination[i + 1u] = b;
    destination[i + 2u] = c;
    destination[i + 3u] = d;
    destination[i + 4u] = e;
    destination[i + 5u] = f;
    destination[i + 6u] = g;
    destination[i + 7u] = h;
  }
}
