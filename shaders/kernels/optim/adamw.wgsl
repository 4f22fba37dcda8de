// optim/adamw
// needs: move_towards parameter worker
// Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101), as torch.optim.AdamW: with g = ±grad and
// t the number of this step,
// exp_avg = β1·exp_avg + (1 − β1)·g, exp_avg_sq = β2·exp_avg_sq + (1 − β2)·g²,
// param −= decay·param + lr·m̂ / (sqrt(v̂) + eps), m̂ = exp_avg / (1 − β1^t), v̂ = exp_avg_sq / (1 − β2^t), or with
// AMSGRAD the largest exp_avg_sq so far instead of exp_avg_sq.
//
// Mapping: a workgroup takes WORKGROUP·ITEMS consecutive elements; a thread every WORKGROUP-th of them.
// Bindings: param, grad [count], of the parameter's dtype; exp_avg, exp_avg_sq, max_exp_avg_sq [count] f32; steps [1], t;
// settings, which can change in every step and are therefore no part of the dispatch.
// Numerics: f32; one rounding of param, at the store. Averages move towards what they average, so that a β that f32 cannot
// hold does not scale them; 1 − β^t is had without cancellation.
struct Params {
  count: u32,
}

// Of a group of parameters. The host lays out the same (src/kernels/optim.ts).
struct Settings {
  lr: f32,
  decay: f32,        // lr·weight_decay
  keep_avg: f32,     // β1
  take_avg: f32,     // 1 − β1
  keep_avg_sq: f32,  // β2
  take_avg_sq: f32,  // 1 − β2
  log_avg: f32,      // ln β1
  log_avg_sq: f32,   // ln β2
  eps: f32,
  sign: f32,         // −1 to climb
}

var<uniform> params: Params;
var<storage, read_write> exp_avg: array<f32>;
var<storage, read_write> exp_avg_sq: array<f32>;
var<storage, read_write> max_exp_avg_sq: array<f32>;
var<storage, read> steps: array<u32>;
var<storage, read> settings: Settings;

override AMSGRAD: bool = false;

// 1 − e^x for x ≤ 0. Near 0, where the difference would cancel, Taylor's series, whose first term left out is below
// 2^-25 of the sum; further off e^x, which is small beside 1.
fn one_minus_exp(exponent: f32) -> f32 {
  if (exponent < -1.0) { return 1.0 - exp(exponent); }
  var series = 1.0;
  for (var n = 11.0; n > 1.5; n -= 1.0) {
    series = 1.0 + series * exponent / n;
  }
  return -exponent * series;
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let first = first_item(invocation);
  let t = f32(steps[0]);
  let step_size = settings.lr / one_minus_exp(t * settings.log_avg);
  let correction = one_minus_exp(t * settings.log_avg_sq);
  for (var item = 0u; item < ITEMS; item++) {
    let i = first + item * WORKGROUP;
    if (i < params.count) {
      let p = param_of(i);
      let g = settings.sign * grad_of(i);
      let m = move_towards(exp_avg[i], g, settings.keep_avg, settings.take_avg);
      var v = move_towards(exp_avg_sq[i], g * g, settings.keep_avg_sq, settings.take_avg_sq);
      exp_avg[i] = m;
      exp_avg_sq[i] = v;
      if (AMSGRAD) {
        v = max(max_exp_avg_sq[i], v);
        max_exp_avg_sq[i] = v;
      }
      store_param(i, p - (settings.decay * p + step_size * m / (sqrt(v / correction) + settings.eps)));
    }
  }
}
