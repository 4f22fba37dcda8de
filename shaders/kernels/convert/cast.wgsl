// convert/cast
// needs: params storage worker
// y = x in another storage type.
//
// Mapping: a thread per element; a large tensor is walked in parts.
// Bindings: x, y [count].
// Numerics: f16 to f32 is exact; f32 to f16 rounds as every store of the norms does.
var<storage, read> x: array<X>;
var<storage, read_write> y: array<W>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let i = thread_id(invocation);
  if (i >= params.cols) { return; }
  y[i] = W(x[i]);
}
