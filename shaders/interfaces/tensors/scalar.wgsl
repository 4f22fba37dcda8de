// tensors/scalar
// needs: in_place params storage strides
// Tensors of x's shape, element by element: for segments whose length or start is no multiple of four. The arithmetic
// stays four wide; the last quad of a segment is masked. A quad is four consecutive elements; `at` is its place.
var<storage, read> x: array<X>;
var<storage, read> residual: array<X>;
var<storage, read_write> y: array<SHARED_Y>;
var<storage, read_write> sum: array<SHARED_X>;
var<storage, read> dy: array<Y>;
var<storage, read> dsum: array<X>;
var<storage, read_write> dx: array<SHARED_X>;
var<storage, read_write> dresidual: array<SHARED_X>;

// How many elements of a quad lie inside its segment.
fn valid_of(remaining: u32) -> u32 {
  return min(remaining, 4u);
}

// Zero where a quad reaches past its segment. Sums mask after centring: a masked value must not become −mean.
fn within(valid: u32, v: vec4<f32>) -> vec4<f32> {
  return select(vec4<f32>(), v, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(valid));
}

// Loads past the segment repeat its last element, so that a chunk's pivot is always a typical value.
fn indices(i: u32, valid: u32) -> vec4<u32> {
  return min(vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(i + valid - 1u));
}

// Where element i is in its array, and a quad that begins with it: a large tensor is walked in parts.
fn place(i: u32) -> u32 {
  return i + params.first_element;
}

// The place of quad q of a segment whose first is at `start`.
fn quad_at(start: u32, q: u32) -> u32 {
  return start + 4u * q;
}

// Element i, at its place.
fn x_of(i: u32) -> f32 {
  if (X_STRIDED) {
    let there = strided(i, X_LAYOUT);
    return x_element(x[x_entry(there)], there);
  } else {
    return x_element(x[x_entry(i)], i);
  }
}

fn residual_of(i: u32) -> f32 {
  if (RESIDUAL_STRIDED) {
    let there = strided(i, RESIDUAL_LAYOUT);
    return x_element(residual[x_entry(there)], there);
  } else {
    return x_element(residual[x_entry(i)], i);
  }
}

fn dy_of(i: u32) -> f32 {
  if (DY_STRIDED) {
    let there = strided(i, DY_LAYOUT);
    return y_element(dy[y_entry(there)], there);
  } else {
    return y_element(dy[y_entry(i)], i);
  }
}

fn dsum_of(i: u32) -> f32 {
  if (DSUM_STRIDED) {
    let there = strided(i, DSUM_LAYOUT);
    return x_element(dsum[x_entry(there)], there);
  } else {
    return x_element(dsum[x_entry(i)], i);
  }
}

fn y_of(i: u32) -> f32 {
  if (Y_STRIDED) {
    return y_at(strided(i, Y_LAYOUT));
  } else {
    return y_at(i);
  }
}

fn y_at(i: u32) -> f32 {
  if (Y_PACKED) {
    return y_element(atomicLoad(&y[y_entry(i)]), i);
  } else {
    return f32(y[i]);
  }
}

fn sum_of(i: u32) -> f32 {
  if (SUM_STRIDED) {
    return sum_at(strided(i, SUM_LAYOUT));
  } else {
    return sum_at(i);
  }
}

fn sum_at(i: u32) -> f32 {
  if (X_PACKED) {
    return x_element(atomicLoad(&sum[x_entry(i)]), i);
  } else {
    return f32(sum[i]);
  }
}

fn dx_of(i: u32) -> f32 {
  if (DX_STRIDED) {
    return dx_at(strided(i, DX_LAYOUT));
  } else {
    return dx_at(i);
  }
}

fn dx_at(i: u32) -> f32 {
  if (X_PACKED) {
    return x_element(atomicLoad(&dx[x_entry(i)]), i);
  } else {
    return f32(dx[i]);
  }
}

fn load_x(at: u32, valid: u32) -> vec4<f32> {
  if (X_IS_Y) {
    return load_y(at, valid);
  } else if (X_IS_SUM) {
    return load_sum(at, valid);
  } else if (X_IS_DX) {
    return load_dx(at, valid);
  } else {
    let e = indices(at, valid);
    return vec4<f32>(x_of(e.x), x_of(e.y), x_of(e.z), x_of(e.w));
  }
}

fn load_x_element(i: u32) -> f32 {
  let at = place(i);
  if (X_IS_Y) {
    return y_of(at);
  } else if (X_IS_SUM) {
    return sum_of(at);
  } else if (X_IS_DX) {
    return dx_of(at);
  } else {
    return x_of(at);
  }
}

fn load_residual(at: u32, valid: u32) -> vec4<f32> {
  if (RESIDUAL_IS_Y) {
    return load_y(at, valid);
  } else if (RESIDUAL_IS_SUM) {
    return load_sum(at, valid);
  } else {
    let e = indices(at, valid);
    return vec4<f32>(residual_of(e.x), residual_of(e.y), residual_of(e.z), residual_of(e.w));
  }
}

fn load_y(at: u32, valid: u32) -> vec4<f32> {
  let e = indices(at, valid);
  return vec4<f32>(y_of(e.x), y_of(e.y), y_of(e.z), y_of(e.w));
}

fn load_sum(at: u32, valid: u32) -> vec4<f32> {
  let e = indices(at, valid);
  return vec4<f32>(sum_of(e.x), sum_of(e.y), sum_of(e.z), sum_of(e.w));
}

fn load_dx(at: u32, valid: u32) -> vec4<f32> {
  let e = indices(at, valid);
  return vec4<f32>(dx_of(e.x), dx_of(e.y), dx_of(e.z), dx_of(e.w));
}

fn load_dy(at: u32, valid: u32) -> vec4<f32> {
  if (DY_IS_DX) {
    return load_dx(at, valid);
  } else {
    let e = indices(at, valid);
    return vec4<f32>(dy_of(e.x), dy_of(e.y), dy_of(e.z), dy_of(e.w));
  }
}

fn load_dsum(at: u32, valid: u32) -> vec4<f32> {
  if (DSUM_IS_DX) {
    return load_dx(at, valid);
  } else {
    let e = indices(at, valid);
    return vec4<f32>(dsum_of(e.x), dsum_of(e.y), dsum_of(e.z), dsum_of(e.w));
  }
}

fn load_dy_element(i: u32) -> f32 {
  if (DY_IS_DX) {
    return dx_of(place(i));
  } else {
    return dy_of(place(i));
  }
}

// The words that a quad lies in, where its type is packed: three, if it begins in the middle of one.
struct QuadWords {
  first: u32,
  bits: vec3<u32>,
  own: vec3<u32>,  // which of the bits are the quad's
}

fn quad_words(at: u32, valid: u32, words: vec2<u32>) -> QuadWords {
  let own = vec2<u32>(select(0xffffu, 0xffffffffu, valid > 1u), select(select(0u, 0xffffu, valid > 2u), 0xffffffffu, valid > 3u));
  let bits = words & own;
  if (at % 2u == 0u) { return QuadWords(at / 2u, vec3<u32>(bits, 0u), vec3<u32>(own, 0u)); }
  return QuadWords(at / 2u, across(bits), across(own));
}

// Moved on by half a word.
fn across(words: vec2<u32>) -> vec3<u32> {
  return vec3<u32>(words.x << 16u, (words.x >> 16u) | (words.y << 16u), words.y >> 16u);
}

fn store_y(at: u32, valid: u32, v: vec4<f32>) {
  if (Y_STRIDED) {
    for (var i = 0u; i < valid; i++) {
      put_y_element(strided(at + i, Y_LAYOUT), v[i]);
    }
  } else if (Y_PACKED) {
    let q = quad_words(at, valid, y_words(v));
    put_y(q.first, q.bits.x, q.own.x);
    put_y(q.first + 1u, q.bits.y, q.own.y);
    put_y(q.first + 2u, q.bits.z, q.own.z);
  } else {
    let e = Y4(v);
    y[at] = e.x;
    if (valid > 1u) {
      y[at + 1u] = e.y;
    }
    if (valid > 2u) {
      y[at + 2u] = e.z;
    }
    if (valid > 3u) {
      y[at + 3u] = e.w;
    }
  }
}

fn put_y_element(i: u32, v: f32) {
  if (Y_PACKED) {
    put_y(y_entry(i), half_word(y_words(vec4<f32>(v)), i), ~other_half(i));
  } else {
    y[i] = Y(v);
  }
}

fn put_y(word: u32, bits: u32, own: u32) {
  if (own == 0xffffffffu) {
    atomicStore(&y[word], bits);
  } else if (own != 0u) {
    atomicAnd(&y[word], ~own);
    atomicOr(&y[word], bits);
  }
}

fn store_sum(at: u32, valid: u32, v: vec4<f32>) {
  if (SUM_STRIDED) {
    for (var i = 0u; i < valid; i++) {
      put_sum_element(strided(at + i, SUM_LAYOUT), v[i]);
    }
  } else if (X_PACKED) {
    let q = quad_words(at, valid, x_words(v));
    put_sum(q.first, q.bits.x, q.own.x);
    put_sum(q.first + 1u, q.bits.y, q.own.y);
    put_sum(q.first + 2u, q.bits.z, q.own.z);
  } else {
    let e = X4(v);
    sum[at] = e.x;
    if (valid > 1u) {
      sum[at + 1u] = e.y;
    }
    if (valid > 2u) {
      sum[at + 2u] = e.z;
    }
    if (valid > 3u) {
      sum[at + 3u] = e.w;
    }
  }
}

fn put_sum_element(i: u32, v: f32) {
  if (X_PACKED) {
    put_sum(x_entry(i), half_word(x_words(vec4<f32>(v)), i), ~other_half(i));
  } else {
    sum[i] = X(v);
  }
}

fn put_sum(word: u32, bits: u32, own: u32) {
  if (own == 0xffffffffu) {
    atomicStore(&sum[word], bits);
  } else if (own != 0u) {
    atomicAnd(&sum[word], ~own);
    atomicOr(&sum[word], bits);
  }
}

fn store_dx(at: u32, valid: u32, v: vec4<f32>) {
  if (DX_STRIDED) {
    for (var i = 0u; i < valid; i++) {
      put_dx_element(strided(at + i, DX_LAYOUT), v[i]);
    }
  } else if (X_PACKED) {
    let q = quad_words(at, valid, x_words(v));
    put_dx(q.first, q.bits.x, q.own.x);
    put_dx(q.first + 1u, q.bits.y, q.own.y);
    put_dx(q.first + 2u, q.bits.z, q.own.z);
  } else {
    let e = X4(v);
    dx[at] = e.x;
    if (valid > 1u) {
      dx[at + 1u] = e.y;
    }
    if (valid > 2u) {
      dx[at + 2u] = e.z;
    }
    if (valid > 3u) {
      dx[at + 3u] = e.w;
    }
  }
}

fn put_dx_element(i: u32, v: f32) {
  if (X_PACKED) {
    put_dx(x_entry(i), half_word(x_words(vec4<f32>(v)), i), ~other_half(i));
  } else {
    dx[i] = X(v);
  }
}

fn put_dx(word: u32, bits: u32, own: u32) {
  if (own == 0xffffffffu) {
    atomicStore(&dx[word], bits);
  } else if (own != 0u) {
    atomicAnd(&dx[word], ~own);
    atomicOr(&dx[word], bits);
  }
}

fn store_dresidual(at: u32, valid: u32, v: vec4<f32>) {
  if (DRESIDUAL_STRIDED) {
    for (var i = 0u; i < valid; i++) {
      put_dresidual_element(strided(at + i, DRESIDUAL_LAYOUT), v[i]);
    }
  } else if (X_PACKED) {
    let q = quad_words(at, valid, x_words(v));
    put_dresidual(q.first, q.bits.x, q.own.x);
    put_dresidual(q.first + 1u, q.bits.y, q.own.y);
    put_dresidual(q.first + 2u, q.bits.z, q.own.z);
  } else {
    let e = X4(v);
    dresidual[at] = e.x;
    if (valid > 1u) {
      dresidual[at + 1u] = e.y;
    }
    if (valid > 2u) {
      dresidual[at + 2u] = e.z;
    }
    if (valid > 3u) {
      dresidual[at + 3u] = e.w;
    }
  }
}

fn put_dresidual_element(i: u32, v: f32) {
  if (X_PACKED) {
    put_dresidual(x_entry(i), half_word(x_words(vec4<f32>(v)), i), ~other_half(i));
  } else {
    dresidual[i] = X(v);
  }
}

fn put_dresidual(word: u32, bits: u32, own: u32) {
  if (own == 0xffffffffu) {
    atomicStore(&dresidual[word], bits);
  } else if (own != 0u) {
    atomicAnd(&dresidual[word], ~own);
    atomicOr(&dresidual[word], bits);
  }
}
