// storage
// needs: packed_bf16 packed_f16 params
// The types that tensors are stored in: the only place that knows them. Y is of y and its gradient dy, X of x and everything else
// of its shape, W of weight, bias and their gradients; the host chooses all three. Where WGSL has the type, an array holds its
// elements. Where it has not (bf16, and f16 on a device without the feature shader-f16), an array holds words of two elements each,
// the first in the low half: packed.
//
// Numerics: loads are exact; a store rounds once, to nearest even, overflow to infinity; subnormal halves are kept, NaN stays NaN.
alias X = f32;         // an entry of an array
alias X4 = vec4<X>;    // of one whose entries are quads
alias Y = f32;
alias Y4 = vec4<Y>;
alias W = f32;
alias W4 = vec4<W>;
alias SHARED_X = X;    // of one whose neighbouring elements different threads write
alias SHARED_Y = Y;
alias SHARED_W = W;

override X_PACKED: bool = false;
override Y_PACKED: bool = false;
override W_PACKED: bool = false;
// Which type is packed: bf16, or else f16.
override X_BF16: bool = false;
override Y_BF16: bool = false;
override W_BF16: bool = false;
// Whether X is WGSL's f16.
override STORES_F16: bool = false;

// The entry that element i is in.
fn x_entry(i: u32) -> u32 {
  if (X_PACKED) {
    return i >> 1u;
  } else {
    return i;
  }
}

fn y_entry(i: u32) -> u32 {
  if (Y_PACKED) {
    return i >> 1u;
  } else {
    return i;
  }
}

fn w_entry(i: u32) -> u32 {
  if (W_PACKED) {
    return i >> 1u;
  } else {
    return i;
  }
}

// Element i, of the entry that it is in.
fn x_element(entry: X, i: u32) -> f32 {
  if (X_PACKED) {
    return half_of(x_pair(entry), i);
  } else {
    return f32(entry);
  }
}

fn y_element(entry: Y, i: u32) -> f32 {
  if (Y_PACKED) {
    return half_of(y_pair(entry), i);
  } else {
    return f32(entry);
  }
}

fn w_element(entry: W, i: u32) -> f32 {
  if (W_PACKED) {
    return half_of(w_pair(entry), i);
  } else {
    return f32(entry);
  }
}

// Four elements, of an entry that is a quad.
fn x_quad(entry: X4) -> vec4<f32> {
  if (X_PACKED) {
    return vec4<f32>(x_pair(entry.x), x_pair(entry.y));
  } else {
    return vec4<f32>(entry);
  }
}

fn y_quad(entry: Y4) -> vec4<f32> {
  if (Y_PACKED) {
    return vec4<f32>(y_pair(entry.x), y_pair(entry.y));
  } else {
    return vec4<f32>(entry);
  }
}

fn w_quad(entry: W4) -> vec4<f32> {
  if (W_PACKED) {
    return vec4<f32>(w_pair(entry.x), w_pair(entry.y));
  } else {
    return vec4<f32>(entry);
  }
}

// An entry that is a quad, of four numbers.
fn rounded_x(v: vec4<f32>) -> X4 {
  if (X_PACKED) {
    return x_words(v);
  } else {
    return X4(v);
  }
}

fn rounded_y(v: vec4<f32>) -> Y4 {
  if (Y_PACKED) {
    return y_words(v);
  } else {
    return Y4(v);
  }
}

fn rounded_w(v: vec4<f32>) -> W4 {
  if (W_PACKED) {
    return w_words(v);
  } else {
    return W4(v);
  }
}

// The two elements of a word.
fn x_pair(word: u32) -> vec2<f32> {
  if (X_BF16) {
    return bf16_pair(word);
  } else {
    return f16_pair(word);
  }
}

fn y_pair(word: u32) -> vec2<f32> {
  if (Y_BF16) {
    return bf16_pair(word);
  } else {
    return f16_pair(word);
  }
}

fn w_pair(word: u32) -> vec2<f32> {
  if (W_BF16) {
    return bf16_pair(word);
  } else {
    return f16_pair(word);
  }
}

// Four numbers as two words.
fn x_words(v: vec4<f32>) -> vec2<u32> {
  if (X_BF16) {
    return bf16_words(v);
  } else {
    return f16_words(v);
  }
}

fn y_words(v: vec4<f32>) -> vec2<u32> {
  if (Y_BF16) {
    return bf16_words(v);
  } else {
    return f16_words(v);
  }
}

fn w_words(v: vec4<f32>) -> vec2<u32> {
  if (W_BF16) {
    return bf16_words(v);
  } else {
    return f16_words(v);
  }
}

fn half_of(pair: vec2<f32>, i: u32) -> f32 {
  return select(pair.x, pair.y, (i & 1u) == 1u);
}

// A number as element i of its word: the other half is zero. Where threads share words, each writes the bits of its own element alone, by
// two atomic operations whose order beside those of another thread does not matter.
fn half_word(words: vec2<u32>, i: u32) -> u32 {
  return (words.x & 0xffffu) << (16u * (i & 1u));
}

// All bits but those of element i.
fn other_half(i: u32) -> u32 {
  return 0xffff0000u >> (16u * (i & 1u));
}

// Rounding to X. Compilers take a conversion to f16 and back for the identity; opaque_ones has all bits set, but since
// compilers cannot know that, the bits between the two conversions are real.
fn round_to_storage(v: vec4<f32>) -> vec4<f32> {
  if (X_PACKED) {
    let words = x_words(v);
    return vec4<f32>(x_pair(words.x), x_pair(words.y));
  } else if (STORES_F16) {
    return vec4<f32>(
      unpack2x16float(pack2x16float(v.xy) & params.opaque_ones),
      unpack2x16float(pack2x16float(v.zw) & params.opaque_ones),
    );
  } else {
    return v;
  }
}
