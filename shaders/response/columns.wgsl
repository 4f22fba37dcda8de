// A thread's place where neighbouring elements are neighbouring channels: four of them at one position. Neighbouring
// threads have neighbouring channels.
alias V = f32;  // what a thread has of one channel
alias U = u32;
alias I = i32;

struct Four {
  a: V,
  b: V,
  c: V,
  d: V,
}

struct Place {
  alive: bool,   // surplus threads are not
  base: u32,     // index of channel 0
  valid: u32,    // how many of the four channels exist
  channel: u32,  // the first of the four
}

fn place_of(thread: u32) -> Place {
  let blocks = (params.channels + 3u) / 4u;
  let channel = 4u * (thread % blocks);
  let run = thread / blocks;
  return Place(run < params.runs, run * params.channels, valid_of(params.channels - channel), channel);
}

fn ratio_place(p: Place, channel: u32) -> u32 {
  return p.base + channel;
}

fn x_at(p: Place, channel: u32) -> V {
  return load_x_element(p.base + channel);
}

fn dy_at(p: Place, channel: u32) -> V {
  return load_dy_element(p.base + channel);
}

fn emit_y(p: Place, v: Four) {
  store_y(p.base + p.channel, p.valid, vec4<f32>(v.a, v.b, v.c, v.d));
}

fn emit_dx(p: Place, v: Four) {
  store_dx(p.base + p.channel, p.valid, vec4<f32>(v.a, v.b, v.c, v.d));
}
