// storage_f32
// Rounding to the storage type of x: none.
fn round_to_storage(v: vec4<f32>) -> vec4<f32> {
  return v;
}
