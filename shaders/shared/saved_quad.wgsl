// saved_quad
// needs: quad_statistics saved_statistics
// Saved statistics of four sets.
fn saved_quad(sets: vec4<u32>) -> ColumnStatistics {
  var hi: vec4<f32>;
  var lo: vec4<f32>;
  var bits: vec4<u32>;
  for (var j = 0u; j < 4u; j++) {
    let stored = load_statistics(sets[j]);
    hi[j] = stored.x;
    lo[j] = stored.y;
    bits[j] = bitcast<u32>(stored.z);
  }
  return quad_statistics(hi, lo, bits);
}
