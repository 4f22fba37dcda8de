// dy·x·d^(−beta − 1) of channel c, made where it is needed: for short windows.
fn ratio_at(p: Place, c: u32) -> V {
  let end = min(c + 1u + params.after, params.channels);
  var sum = V();
  for (var w = c - min(c, params.before); w < end; w++) {
    let v = x_at(p, w);
    sum += v * v;
  }
  return ratio(dy_at(p, c), x_at(p, c), V(params.k) + params.scale * sum);
}
