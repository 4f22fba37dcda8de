// rows/backward_sums
// needs: affine_map params reduce saturation saved_statistics segments set_statistics statistics tensors upstream worker
// Partial Σg and Σg·x̂ of segments that are divided into splits; merge/sums.wgsl makes what dx needs of them.
// PER_CHANNEL false: a segment is a row and g = dz·weight, where dz is dy, or dy·activation'(z) (shared/upstream.wgsl).
// PER_CHANNEL true: a segment is one channel of a sample, `inner` elements long, and g = dz; the same partials also make
// dweight and dbias (merge/gradients.wgsl).
//
// Mapping: LANES lanes per (segment, split); split s holds quads s·split_length, … of its segment, and of the same
// channel's segments at the next positions where `planes_per_partial` of them share a partial. With FOUR_ROWS, a single
// lane has rows 4t … 4t + 3 and loads weight once for all: a software adapter pays for a load that all lanes share as for
// any other. Past the last segment it does the last one again.
// Bindings: x, dy, residual, dresidual [rows, cols]; weight, bias [cols] or [channels]; mean [sets] (hi, lo); rstd [sets];
// partials [samples, splits, channels], with one channel where a segment is a row.
// Numerics: centred sums, in blocks about the root of their number long. Determinism: one writer per split.
//
// Measured on SwiftShader, 4096×1024: 1, 2, 4 rows a thread: 16, 12, 9 ms beside a copy of 8.
var<storage, read_write> partials: array<vec2<f32>>;

override FOUR_ROWS: bool = false;
// Whether mean and rstd of each set ride behind the partials (shared/saved_statistics.wgsl).
override CARRIES: bool = false;
override PER_CHANNEL: bool = false;

const CHUNK = 64u;  // quads in a chunk; 16 take SwiftShader 8 % longer

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let each = select(1u, 4u, FOUR_ROWS);
  let worker = worker_of(invocation, (params.rows + each - 1u) / each * params.splits);
  let split = worker.id % params.splits;
  let end = min((split + 1u) * params.split_length, (params.cols + 3u) / 4u);
  let last = params.rows - 1u;
  let segment0 = worker.id / params.splits * each;
  let segment1 = min(segment0 + 1u, last);
  let segment2 = min(segment0 + 2u, last);
  let segment3 = min(segment0 + 3u, last);
  let start1 = place(segment1 * params.cols);
  let start2 = place(segment2 * params.cols);
  let start3 = place(segment3 * params.cols);
  let s0 = saved(set_of_segment(segment0));
  var s1 = s0;
  var s2 = s0;
  var s3 = s0;
  if (FOUR_ROWS) {
    s1 = saved(set_of_segment(segment1));
    s2 = saved(set_of_segment(segment2));
    s3 = saved(set_of_segment(segment3));
  }

  if (CARRIES) {
    if (worker.lane == 0u && !worker.surplus && split == 0u && begins_set(segment0)) {
      let which = set_of_segment(segment0);
      let stored = load_statistics(which);
      partials[params.carried + 2u * which] = stored.xy;
      partials[params.carried + 2u * which + 1u] = vec2<f32>(stored.z, 0.0);
    }
  }

  let parameters = parameters_of(segment0);
  // A channel's weight and bias are those of the whole segment: loaded once.
  var w = vec4<f32>(1.0);
  var b = vec4<f32>();
  if (PER_CHANNEL) {
    if (NEEDS_Z) {
      w = weight_at(parameters, 0u, 1u);
      b = shift_at(parameters, 0u, 1u);
    }
  }

  var total = Parts();
  var block = Parts();
  var merged = 0u;
  let base0 = base_of_segment(segment0);
  // A walk over the same quads of every position that shares the partial.
  let first = split * params.split_length + worker.lane;
  let planes = planes_of_segment(segment0);
  var plane = 0u;
  var q = first;
  while (q < end) {
    let start0 = place(base0 + plane * params.channels * params.cols);
    let stop = min(end, q + CHUNK * LANES);
    var t0 = Terms();
    var t1 = Terms();
    var t2 = Terms();
    var t3 = Terms();
    for (; q < stop; q += LANES) {
      let col = 4u * q;
      let valid = valid_of(params.cols - col);
      if (!PER_CHANNEL) {
        w = weight_at(parameters, col, valid);
        b = shift_at(parameters, col, valid);
      }
      t0 = add_terms(t0, quad_at(start0, q), valid, s0, w, b);
      if (FOUR_ROWS) {
        t1 = add_terms(t1, quad_at(start1, q), valid, s1, w, b);
        t2 = add_terms(t2, quad_at(start2, q), valid, s2, w, b);
        t3 = add_terms(t3, quad_at(start3, q), valid, s3, w, b);
      }
    }
    block.g += vec4<f32>(add_up(t0.g), add_up(t1.g), add_up(t2.g), add_up(t3.g));
    block.g_xhat += vec4<f32>(add_up(t0.g_xhat), add_up(t1.g_xhat), add_up(t2.g_xhat), add_up(t3.g_xhat));
    merged += 1u;
    if (merged == params.block) {
      total.g += block.g;
      total.g_xhat += block.g_xhat;
      block = Parts();
      merged = 0u;
    }
    if (q >= end && plane + 1u < planes) {
      plane += 1u;
      q = first;
    }
  }
  let g = total.g + block.g;
  let g_xhat = total.g_xhat + block.g_xhat;
  let sum0 = reduce(Part(g.x, g_xhat.x), worker);
  if (worker.lane > 0u || worker.surplus) { return; }
  partials[partial_of_segment(segment0, split)] = sum0;
  if (FOUR_ROWS) {
    partials[partial_of_segment(segment1, split)] = Part(g.y, g_xhat.y);
    partials[partial_of_segment(segment2, split)] = Part(g.z, g_xhat.z);
    partials[partial_of_segment(segment3, split)] = Part(g.w, g_xhat.w);
  }
}

// The sums of up to four segments.
struct Parts {
  g: vec4<f32>,
  g_xhat: vec4<f32>,
}

// The sums of one segment, by position in a quad.
struct Terms {
  g: vec4<f32>,
  g_xhat: vec4<f32>,
}

fn add_terms(t: Terms, at: u32, valid: u32, s: Statistics, w: vec4<f32>, b: vec4<f32>) -> Terms {
  let centred = centre(load_x(at, valid), s);
  var g = within(valid, upstream(at, valid, affine(centred, s.scale, w, b)));
  if (!PER_CHANNEL) {
    g *= w;
  }
  // Of DyT the second sum is that of alpha's gradient.
  var per_g = centred * s.scale;
  if (SATURATES) {
    per_g = centred * saturated_slope(per_g);
  }
  return Terms(t.g + g, t.g_xhat + g * within(valid, per_g));
}
