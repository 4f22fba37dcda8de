// column_sums
// Column-wise sums: mean − k and M2 of four columns that have seen the same number of rows.
struct Columns {
  n: f32,
  mean: vec4<f32>,
  m2: vec4<f32>,
}

fn out_of_range_each(v: vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) >= vec4<u32>(0x7f000000u);
}

fn join_columns(a: Columns, b: Columns) -> Columns {
  let n = a.n + b.n;
  let share = select(b.n / n, 1.0, a.n == 0.0);  // as join() in interfaces/statistics/moments.wgsl
  let delta = b.mean - a.mean;
  return Columns(n, a.mean + delta * share, a.m2 + b.m2 + delta * (a.n * share) * delta);
}
