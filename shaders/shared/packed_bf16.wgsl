// packed_bf16
// bfloat16, two numbers a word: the upper halves of f32 numbers. WGSL has no such type.
fn bf16_pair(word: u32) -> vec2<f32> {
  return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u));
}

fn bf16_words(v: vec4<f32>) -> vec2<u32> {
  let bits = bitcast<vec4<u32>>(v);
  // To nearest even; what lies beyond the largest finite number carries to infinity.
  var rounded = bits + 0x7fffu + ((bits >> vec4<u32>(16u)) & vec4<u32>(1u));
  // A NaN stays one, and becomes quiet.
  rounded = select(rounded, bits | vec4<u32>(0x00400000u), (bits & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
  return (rounded.xz >> vec2<u32>(16u)) | (rounded.yw & vec2<u32>(0xffff0000u));
}
