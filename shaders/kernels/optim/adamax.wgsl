// optim/adamax
// needs: bias_correction move_towards places update worker
// Adamax (Kingma and Ba 2015, arXiv 1412.6980, section 7.1), as torch.optim.Adamax: with g = ±grad + weight_decay·param and t the
// number of this step, exp_avg = β1·exp_avg + (1 − β1)·g, exp_inf = max(β2·exp_inf, |g| + eps),
// param −= lr / (1 − β1^t)·exp_avg / exp_inf.
//
// Mapping: a workgroup takes a place (shared/places.wgsl); a thread every WORKGROUP-th element of it.
// Bindings: param, grad, of their dtypes; exp_avg, exp_inf f32; steps, t of each parameter; settings, which can change in every step
// and are therefore no part of the dispatch.
// Numerics: f32; one rounding of param, at the store. The average moves towards what it averages.

// Of a group of parameters. The host lays out the same (src/kernels/optim.ts).
struct Settings {
  skip: u32,         // nothing is to change
  lr: f32,
  weight_decay: f32,
  keep_avg: f32,     // β1
  take_avg: f32,     // 1 − β1
  log_avg: f32,      // ln β1
  keep_inf: f32,     // β2
  eps: f32,
  sign: f32,         // −1 to climb
}

var<storage, read_write> exp_avg: array<f32>;
var<storage, read_write> exp_inf: array<f32>;
var<storage, read> steps: array<u32>;
var<storage, read> settings: Settings;

// lr / (1 − β1^t), and what is kept of the largest size.
fn rates_of(slot: u32) -> vec2<f32> {
  let correction = one_minus_exp(f32(steps[count_of(slot)]) * settings.log_avg);
  return vec2<f32>(settings.lr / correction, settings.keep_inf);
}

fn update(i: u32, rates: vec2<f32>) {
  let p = param_of(i);
  let g = settings.sign * grad_of(i) + settings.weight_decay * p;
  let m = move_towards(exp_avg[i], g, settings.keep_avg, settings.take_avg);
  let largest = max(rates.y * exp_inf[i], abs(g) + settings.eps);
  exp_avg[i] = m;
  exp_inf[i] = largest;
  store_param(i, p - rates.x * m / largest);
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  update_all(invocation);
}
