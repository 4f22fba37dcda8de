// column_statistics
// needs: abreast columns params saved_statistics set_statistics
// Saved statistics of the sets that a thread's four columns belong to.
struct ColumnStatistics {
  hi: vec4<f32>,
  lo: vec4<f32>,
  scale: vec4<f32>,
  unit: vec4<f32>,
}

fn column_statistics(c: Column) -> ColumnStatistics {
  if (ABREAST) {
    return statistics_abreast(c);
  } else {
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
}

// As statistics_from() in shared/set_statistics.wgsl, but without a branch, behind which a compiler would leave the loads of the
// next set.
fn statistics_abreast(c: Column) -> ColumnStatistics {
  var s: ColumnStatistics;
  var bits: vec4<u32>;
  for (var j = 0u; j < 4u; j++) {
    let stored = load_statistics(set_of(c, j));
    s.hi[j] = stored.x;
    s.lo[j] = stored.y;
    bits[j] = bitcast<u32>(stored.z);
  }
  let plain = (bits >= vec4<u32>(0x0d800000u)) | (bits == vec4<u32>());
  let shift = countLeadingZeros(bits) - 8u;
  let subnormal = ((61u - shift) << vec4<u32>(23u)) | ((bits << shift) & vec4<u32>(0x7fffffu));
  let larger = select(bits + (60u << 23u), subnormal, bits < vec4<u32>(0x00800000u));
  s.scale = bitcast<vec4<f32>>(select(larger, bits, plain));
  s.unit = select(vec4<f32>(SMALL), vec4<f32>(1.0), plain);
  s.hi = select(SMALL * s.hi, s.hi, plain);
  s.lo = select(SMALL * s.lo, s.lo, plain);
  let invalid = bits == vec4<u32>(NOT_A_NUMBER);
  let nan = bitcast<vec4<f32>>(bits & vec4<u32>(params.opaque_ones));
  s.hi = select(s.hi, nan, invalid);
  s.scale = select(s.scale, nan, invalid);
  return s;
}

// As centre() in shared/set_statistics.wgsl.
fn centre_columns(v: vec4<f32>, s: ColumnStatistics) -> vec4<f32> {
  return fma(v, s.unit, -s.hi) - s.lo;
}
