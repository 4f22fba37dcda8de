// columns
// needs: affine_map params storage tensors
// For kernels in which a thread owns four neighbouring columns of x[samples, rows, cols] and walks over a split of the
// rows. A row is one position, or several of them: cols = positions in a row·channels·inner, and column c belongs to channel
// c / inner % channels. Several columns of a channel are so many partials of it.
var<storage, read> weight: array<W>;
var<storage, read> bias: array<W>;

struct Column {
  in_range: bool,   // surplus threads are not
  sample: u32,
  col: u32,      // the first of the four
  start: u32,    // the element of x in row 0
  partial: u32,  // its place in an array [samples, splits, cols] of partials
  valid: u32,    // how many of the four exist
  first: u32,    // rows first … end − 1
  end: u32,
}

fn column_of(thread: u32) -> Column {
  let quads = (params.cols + 3u) / 4u;
  let col = 4u * (thread % quads);
  let split = (thread / quads) % params.splits;
  let sample = thread / (quads * params.splits);
  let first = split * params.split_length;
  let end = min(first + params.split_length, params.rows);
  let start = sample * params.rows * params.cols + col;
  let partial = (sample * params.splits + split) * params.cols + col;
  return Column(sample < params.samples, sample, col, start, partial, valid_of(params.cols - col), first, end);
}

// Place in x of the four columns in a row.
fn place_of(c: Column, row: u32) -> u32 {
  return place(c.start + row * params.cols);
}

fn channel_of(c: Column, j: u32) -> u32 {
  return (c.col + min(j, c.valid - 1u)) / params.inner % params.channels;
}

fn set_of(c: Column, j: u32) -> u32 {
  return c.sample * params.groups + channel_of(c, j) / (params.channels / params.groups);
}

fn column_weight(c: Column) -> vec4<f32> {
  var w = vec4<f32>(1.0);
  if (HAS_WEIGHT) {
    for (var j = 0u; j < 4u; j++) {
      let channel = channel_of(c, j);
      w[j] = w_element(weight[w_entry(channel)], channel) + WEIGHT_OFFSET;
    }
  }
  return w;
}

fn column_bias(c: Column) -> vec4<f32> {
  var b = vec4<f32>();
  if (HAS_BIAS) {
    for (var j = 0u; j < 4u; j++) {
      let channel = channel_of(c, j);
      b[j] = w_element(bias[w_entry(channel)], channel);
    }
  }
  return b;
}
