// storage
// needs: params
// The types that tensors are stored in, and rounding to them. The host chooses X and W.
alias X = f32;  // of x and everything of its shape
alias X4 = vec4<X>;
alias W = f32;  // of weight, bias and their gradients
alias W4 = vec4<W>;

// Whether X is f16.
override STORES_F16: bool = false;

// Rounding to X. Compilers take a conversion to f16 and back for the identity; opaque_ones has all bits set, but since
// compilers cannot know that, the bits between the two conversions are real.
fn round_to_storage(v: vec4<f32>) -> vec4<f32> {
  if (STORES_F16) {
    return vec4<f32>(
      unpack2x16float(pack2x16float(v.xy) & params.opaque_ones),
      unpack2x16float(pack2x16float(v.zw) & params.opaque_ones),
    );
  } else {
    return v;
  }
}
