// optim/adam
// needs: bias_correction move_towards places update worker
// Adam (Kingma and Ba 2015, arXiv 1412.6980) with decay in the gradient or decoupled (Loshchilov and Hutter 2019, arXiv
// 1711.05101), as torch.optim.Adam and torch.optim.AdamW: with g = ±grad + weight_decay·param and t the number of this step,
// exp_avg = β1·exp_avg + (1 − β1)·g, exp_avg_sq = β2·exp_avg_sq + (1 − β2)·g²,
// param −= decay·param + lr·m̂ / (sqrt(v̂) + eps), m̂ = exp_avg / (1 − β1^t), v̂ = exp_avg_sq / (1 − β2^t), or with
// AMSGRAD the largest exp_avg_sq so far instead of exp_avg_sq.
//
// Mapping: a workgroup takes a place (shared/places.wgsl); a thread every WORKGROUP-th element of it.
// Bindings: param, grad, of their dtypes; exp_avg, exp_avg_sq, max_exp_avg_sq f32; steps, t of each parameter; settings, which can
// change in every step and are therefore no part of the dispatch.
// Numerics: f32; one rounding of param, at the store. Averages move towards what they average, so that a β that f32 cannot
// hold does not scale them; 1 − β^t is had without cancellation.

// Of a group of parameters. The host lays out the same (src/kernels/optim.ts).
struct Settings {
  skip: u32,         // nothing is to change
  lr: f32,
  decay: f32,        // lr·weight decay, decoupled
  weight_decay: f32, // in the gradient
  keep_avg: f32,     // β1
  take_avg: f32,     // 1 − β1
  keep_avg_sq: f32,  // β2
  take_avg_sq: f32,  // 1 − β2
  log_avg: f32,      // ln β1
  log_avg_sq: f32,   // ln β2
  eps: f32,
  sign: f32,         // −1 to climb
}

var<storage, read_write> exp_avg: array<f32>;
var<storage, read_write> exp_avg_sq: array<f32>;
var<storage, read_write> max_exp_avg_sq: array<f32>;
var<storage, read> steps: array<u32>;
var<storage, read> settings: Settings;

override AMSGRAD: bool = false;

// lr / (1 − β1^t) and 1 − β2^t.
fn rates_of(slot: u32) -> vec2<f32> {
  let t = f32(steps[count_of(slot)]);
  return vec2<f32>(settings.lr / one_minus_exp(t * settings.log_avg), one_minus_exp(t * settings.log_avg_sq));
}

fn update(i: u32, rates: vec2<f32>) {
  let p = param_of(i);
  let g = settings.sign * grad_of(i) + settings.weight_decay * p;
  let m = move_towards(exp_avg[i], g, settings.keep_avg, settings.take_avg);
  var v = move_towards(exp_avg_sq[i], g * g, settings.keep_avg_sq, settings.take_avg_sq);
  exp_avg[i] = m;
  exp_avg_sq[i] = v;
  if (AMSGRAD) {
    v = max(max_exp_avg_sq[i], v);
    max_exp_avg_sq[i] = v;
  }
  store_param(i, p - (settings.decay * p + rates.x * m / (sqrt(v / rates.y) + settings.eps)));
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  update_all(invocation);
}
