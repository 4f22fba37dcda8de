// column_statistics
// needs: columns quad_statistics saved_quad
// Saved statistics of the sets that a thread's four columns belong to.
fn column_statistics(c: Column) -> ColumnStatistics {
  return saved_quad(vec4<u32>(set_of(c, 0u), set_of(c, 1u), set_of(c, 2u), set_of(c, 3u)));
}
