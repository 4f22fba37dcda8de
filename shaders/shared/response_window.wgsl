// response_window
// needs: elements params
// Where a thread is, and the window of channels around it. Neighbouring threads have neighbouring elements or quads,
// whichever axis is contiguous, so every load of a window is one run of memory; what windows share comes from the caches.
//
// Numerics: every window is summed anew, in blocks; a sum that slides by adding one square and subtracting another
// keeps what both rounded off, and cancels after a large value.
const BLOCK = 16u;  // channels in a block

struct Place {
  in_range: bool,   // surplus threads are not
  at: u32,       // index of what the thread has, in elements or quads
  own: u32,      // the same among the dispatch's own: [segments, channels, span]
  step: u32,     // from a channel to the next
  own_step: u32,
  channel: u32,
}

fn place_of(thread: u32) -> Place {
  let step = params.inner / WIDTH;
  let own_step = params.span / WIDTH;
  let row = thread / own_step;
  let in_range = row < params.segments * params.channels;
  let at = row * step + params.first_inner / WIDTH + thread % own_step;
  return Place(in_range, at, thread, step, own_step, row % params.channels);
}

// The first channel of a window, and the one after its last.
struct Window {
  first: u32,
  end: u32,
}

fn window_of(p: Place, before: u32, after: u32) -> Window {
  return Window(p.channel - min(p.channel, before), min(p.channel + after + 1u, params.channels));
}

// Index of the same position in another channel.
fn index_in(p: Place, channel: u32) -> u32 {
  return p.at + channel * p.step - p.channel * p.step;
}

// The same among the dispatch's own.
fn own_index_in(p: Place, channel: u32) -> u32 {
  return p.own + channel * p.own_step - p.channel * p.own_step;
}

// d = k + alpha/size·Σx².
fn denominator(p: Place) -> V {
  let w = window_of(p, params.before, params.after);
  var total = V();
  var c = w.first;
  while (c < w.end) {
    let stop = min(w.end, c + BLOCK);
    var block = V();
    for (; c < stop; c++) {
      let v = read_x(index_in(p, c));
      block += v * v;
    }
    total += block;
  }
  return V(params.k) + params.scale * total;
}
