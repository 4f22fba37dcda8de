// Sums over windows of channels, for four neighbouring channels at once: what their windows share is loaded once.
//
// Numerics: every window is summed anew, in blocks; a sum that slides by adding one square and subtracting another
// keeps what both rounded off, and cancels after a large value.
const BLOCK = 16u;  // channels in a block

// v where channel c exists and lies in the window of channel `centre`, else 0.
fn within_window(v: V, c: u32, centre: u32, before: u32, after: u32) -> V {
  return select(V(), v, c < params.channels && c + before >= centre && c <= centre + after);
}

// Adds what channel c has to the sums of the windows of the four channels from `first` on.
fn gathered(sums: Four, v: V, c: u32, first: u32, before: u32, after: u32) -> Four {
  return Four(
    sums.a + within_window(v, c, first, before, after),
    sums.b + within_window(v, c, first + 1u, before, after),
    sums.c + within_window(v, c, first + 2u, before, after),
    sums.d + within_window(v, c, first + 3u, before, after),
  );
}

fn plus(a: Four, b: Four) -> Four {
  return Four(a.a + b.a, a.b + b.b, a.c + b.c, a.d + b.d);
}

// d = k + alpha/size·Σx² of the four channels from `first` on.
fn denominators(p: Place, first: u32) -> Four {
  let end = min(first + 4u + params.after, params.channels);
  var total = Four();
  var c = first - min(first, params.before);
  while (c < end) {
    let stop = min(end, c + BLOCK);
    var block = Four();
    for (; c < stop; c++) {
      let v = x_at(p, c);
      block = gathered(block, v * v, c, first, params.before, params.after);
    }
    total = plus(total, block);
  }
  return Four(
    V(params.k) + params.scale * total.a,
    V(params.k) + params.scale * total.b,
    V(params.k) + params.scale * total.c,
    V(params.k) + params.scale * total.d,
  );
}

// dy·x·d^(−beta − 1) of one channel.
fn ratio(dy: V, x: V, d: V) -> V {
  return dy * x * power(d) / d;
}
