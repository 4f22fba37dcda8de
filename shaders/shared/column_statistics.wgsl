// column_statistics
// needs: columns saved_statistics
// Saved statistics of the sets that a thread's four columns belong to.
struct ColumnStatistics {
  hi: vec4<f32>,
  lo: vec4<f32>,
  scale: vec4<f32>,
  unit: vec4<f32>,
}

fn column_statistics(c: Column) -> ColumnStatistics {
  var s: ColumnStatistics;
  for (var j = 0u; j < 4u; j++) {
    let one = saved(set_of(c, j));
    s.hi[j] = one.hi;
    s.lo[j] = one.lo;
    s.scale[j] = one.scale;
    s.unit[j] = one.unit;
  }
  return s;
}

// As centre() in shared/set_statistics.wgsl.
fn centre_columns(v: vec4<f32>, s: ColumnStatistics) -> vec4<f32> {
  return fma(v, s.unit, -s.hi) - s.lo;
}
