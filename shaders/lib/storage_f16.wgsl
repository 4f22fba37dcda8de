// storage_f16
// Rounding to the storage type of x. Compilers take a conversion to f16 and back for the identity; `mask` is all ones,
// but since they cannot know, the bits between the two conversions are real.
fn round_to_storage(v: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(
    unpack2x16float(pack2x16float(v.xy) & params.mask),
    unpack2x16float(pack2x16float(v.zw) & params.mask),
  );
}
