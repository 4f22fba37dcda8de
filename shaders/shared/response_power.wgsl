// response_power
// needs: elements params
// d^−beta for positive d, exact to a few last bits whatever the size of d. The built-in pow multiplies beta by log2(d),
// whose error grows with its size: 8e-7 at d = 1e12, 4e-6 at 1e20 (lavapipe).

// Which: 1, 2 and 3 stand for beta = 1, 0.5 and 0.75, which roots make quicker; 0 for any other.
override POWER: u32 = 0u;

// 2^n, for integers −126 ≤ n ≤ 127.
fn power_of_two(n: I) -> V {
  return bitcast<V>((n + I(127)) << U(23u));
}

// d = m·2^e with m between √½ and √2, so d^−beta = 2^(−beta·log2(m) − beta·e). beta·e is split into an integer, which
// only moves the exponent, and a rest below one: beta comes as a head of few bits, whose product with e is exact, and a
// tail. Rounded to f32 as a whole it would be off by 1e-6 at d = 1e20.
fn general_power(d: V) -> V {
  let bits = bitcast<I>(d);
  // Zero, subnormals, infinity, NaN and negative numbers have no such m and e: they go through log2 and exp2 as they are.
  let normal = (bits >= I(0x00800000)) & (bits < I(0x7f800000));
  let e = select(I(), (bits - I(0x3f3504f3)) >> U(23u), normal);
  let m = bitcast<V>(bits - (e << U(23u)));
  let exact = params.beta_head * V(e);
  let whole = round(exact);
  let rest = (exact - whole) + params.beta_tail * V(e);
  let n = I(clamp(-whole, V(-252.0), V(252.0)));
  let half = n / I(2);
  return exp2(-params.beta * log2(m) - rest) * power_of_two(half) * power_of_two(n - half);
}

fn power(d: V) -> V {
  if (POWER == 1u) { return 1.0 / d; }
  if (POWER == 2u) { return inverseSqrt(d); }
  if (POWER == 3u) {
    let root = inverseSqrt(d);
    return root * sqrt(root);
  }
  return general_power(d);
}
