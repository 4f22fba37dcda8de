// packed_f16
// IEEE binary16, two numbers a word.
//
// The built-in pack2x16float would do for most numbers, but not for all and not everywhere: WGSL leaves open how it rounds, and what
// comes out beyond 65504. SwiftShader's rounds 1024 of the ties between subnormal numbers to the wrong side, and has overflow wrong;
// lavapipe's is right. So a store rounds here, with integers.
fn f16_pair(word: u32) -> vec2<f32> {
  return unpack2x16float(word);
}

fn f16_words(v: vec4<f32>) -> vec2<u32> {
  let bits = bitcast<vec4<u32>>(v);
  let magnitude = bits & vec4<u32>(0x7fffffffu);
  // What is beyond 65504 meets infinity's bits at 65536: exponents beyond that would wrap.
  let small = min(magnitude, vec4<u32>(0x47800000u));
  // The exponent's bias goes from 127 to 15; half of the last bit that stays, less one if that bit is 0, carries to nearest even.
  let normal = (small - 0x38000000u + 0xfffu + ((small >> vec4<u32>(13u)) & vec4<u32>(1u))) >> vec4<u32>(13u);
  // Below 2^-14 they are multiples of 2^-24, which is the last bit of f32 at 0.5.
  let subnormal = bitcast<vec4<u32>>(bitcast<vec4<f32>>(small) + 0.5) - 0x3f000000u;
  var half = select(normal, subnormal, small < vec4<u32>(0x38800000u));
  half = select(half, vec4<u32>(0x7e00u), magnitude > vec4<u32>(0x7f800000u));
  half |= (bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u);
  return half.xz | (half.yw << vec2<u32>(16u));
}
