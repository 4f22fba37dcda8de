// A thread's place where a channel is a plane of `inner` elements: a quad of the plane, in four neighbouring channels.
// Neighbouring threads have neighbouring quads.
alias V = vec4<f32>;  // what a thread has of one channel
alias U = vec4<u32>;
alias I = vec4<i32>;

struct Four {
  a: V,
  b: V,
  c: V,
  d: V,
}

struct Place {
  alive: bool,   // surplus threads are not
  base: u32,     // index of the quad in channel 0
  valid: u32,    // how many elements of the quad exist
  channel: u32,  // the first of the four
  ratio: u32,    // index of the quad in channel 0 among the ratios, which come in whole quads
}

fn place_of(thread: u32) -> Place {
  let quads = (params.inner + 3u) / 4u;
  let blocks = (params.channels + 3u) / 4u;
  let col = 4u * (thread % quads);
  let run = thread / (quads * blocks);
  return Place(
    run < params.runs,
    run * params.channels * params.inner + col,
    valid_of(params.inner - col),
    4u * ((thread / quads) % blocks),
    run * params.channels * quads + col / 4u,
  );
}

fn ratio_place(p: Place, channel: u32) -> u32 {
  return p.ratio + channel * ((params.inner + 3u) / 4u);
}

fn x_at(p: Place, channel: u32) -> V {
  return load_x(p.base + channel * params.inner, p.valid);
}

fn dy_at(p: Place, channel: u32) -> V {
  return load_dy(p.base + channel * params.inner, p.valid);
}

fn emit_y(p: Place, v: Four) {
  let i = p.base + p.channel * params.inner;
  store_y(i, p.valid, v.a);
  if (p.channel + 1u < params.channels) {
    store_y(i + params.inner, p.valid, v.b);
  }
  if (p.channel + 2u < params.channels) {
    store_y(i + 2u * params.inner, p.valid, v.c);
  }
  if (p.channel + 3u < params.channels) {
    store_y(i + 3u * params.inner, p.valid, v.d);
  }
}

fn emit_dx(p: Place, v: Four) {
  let i = p.base + p.channel * params.inner;
  store_dx(i, p.valid, v.a);
  if (p.channel + 1u < params.channels) {
    store_dx(i + params.inner, p.valid, v.b);
  }
  if (p.channel + 2u < params.channels) {
    store_dx(i + 2u * params.inner, p.valid, v.c);
  }
  if (p.channel + 3u < params.channels) {
    store_dx(i + 3u * params.inner, p.valid, v.d);
  }
}
