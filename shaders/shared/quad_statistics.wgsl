// quad_statistics
// needs: params set_statistics
// What four neighbouring sets are normalized with, one column each.
struct ColumnStatistics {
  hi: vec4<f32>,
  lo: vec4<f32>,
  scale: vec4<f32>,
  unit: f32,
}

// As statistics_from() in shared/set_statistics.wgsl, but with one unit for all four columns: what a loop holds for each of
// them costs registers. Beside a column whose standard deviation is beyond 2^100, one below 2^-40 is lost: it is made NaN, since
// x·unit would no longer be exact.
fn quad_statistics(hi: vec4<f32>, lo: vec4<f32>, bits: vec4<u32>) -> ColumnStatistics {
  var s: ColumnStatistics;
  let plain = all((bits >= vec4<u32>(0x0d800000u)) | (bits == vec4<u32>()));
  let shift = countLeadingZeros(bits) - 8u;
  let subnormal = ((61u - shift) << vec4<u32>(23u)) | ((bits << shift) & vec4<u32>(0x7fffffu));
  var larger = select(bits + (60u << 23u), subnormal, bits < vec4<u32>(0x00800000u));
  larger = select(larger, vec4<u32>(), bits == vec4<u32>());
  s.scale = bitcast<vec4<f32>>(select(larger, bits, plain));
  s.unit = select(SMALL, 1.0, plain);
  s.hi = hi * s.unit;
  s.lo = lo * s.unit;
  let largest = select(0x53800000u, 0xffffffffu, plain);  // 2^40
  let invalid = (bits == vec4<u32>(NOT_A_NUMBER)) | (bits > vec4<u32>(largest));
  let nan = bitcast<vec4<f32>>(vec4<u32>(NOT_A_NUMBER) & vec4<u32>(params.opaque_ones));
  s.hi = select(s.hi, nan, invalid);
  s.scale = select(s.scale, nan, invalid);
  if (UNIT_LENGTH) {
    s.scale *= params.shrink;
  }
  return s;
}

// As centre() in shared/set_statistics.wgsl.
fn centre_columns(v: vec4<f32>, s: ColumnStatistics) -> vec4<f32> {
  return fma(v, vec4<f32>(s.unit), -s.hi) - s.lo;
}
