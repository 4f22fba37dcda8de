// convert/cast_packed
// needs: params storage worker
// y = x in another storage type, where one of them is packed.
//
// Mapping: a thread per two neighbouring elements, so that no two write into one word; a large tensor is walked in parts.
// Bindings: x, y [count].
// Numerics: into f32 exact; else as every store of the norms rounds.
var<storage, read> x: array<X>;
var<storage, read_write> y: array<W>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let i = 2u * thread_id(invocation);
  if (i >= params.cols) { return; }
  let both = i + 1u < params.cols;
  let next = select(i, i + 1u, both);
  let v = vec4<f32>(x_element(x[x_entry(i)], i), x_element(x[x_entry(next)], next), 0.0, 0.0);
  if (W_PACKED) {
    // Behind an odd last element lies what is not ours.
    let own = select(0xffffu, 0xffffffffu, both);
    y[i / 2u] = (w_words(v).x & own) | (y[i / 2u] & ~own);
  } else {
    y[i] = W(v.x);
    if (both) {
      y[next] = W(v.y);
    }
  }
}
