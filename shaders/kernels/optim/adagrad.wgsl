// optim/adagrad
// needs: places update worker
// Adagrad (Duchi, Hazan and Singer 2011, JMLR 12), as torch.optim.Adagrad: with g = ±grad + weight_decay·param and t the number of this
// step, square_sum = square_sum + g², from `initial` on, and param −= lr / (1 + (t − 1)·lr_decay)·g / (sqrt(square_sum) + eps).
//
// Mapping: a workgroup takes a place (shared/places.wgsl); a thread every WORKGROUP-th element of it.
// Bindings: param, grad, of their dtypes; square_sum f32; steps, t of each parameter; settings, which can change in every step and are
// therefore no part of the dispatch.
// Numerics: f32; one rounding of param, at the store.

// Of a group of parameters. The host lays out the same (src/kernels/optim.ts).
struct Settings {
  skip: u32,         // nothing is to change
  lr: f32,
  lr_decay: f32,
  weight_decay: f32,
  initial: f32,
  eps: f32,
  sign: f32,         // −1 to climb
}

var<storage, read_write> square_sum: array<f32>;
var<storage, read> steps: array<u32>;
var<storage, read> settings: Settings;

// The learning rate of step t, and t − 1.
fn rates_of(slot: u32) -> vec2<f32> {
  let before = f32(steps[count_of(slot)] - 1u);
  return vec2<f32>(settings.lr / (1.0 + before * settings.lr_decay), before);
}

fn update(i: u32, rates: vec2<f32>) {
  let p = param_of(i);
  let g = settings.sign * grad_of(i) + settings.weight_decay * p;
  let total = select(square_sum[i], settings.initial, rates.y == 0.0) + g * g;
  square_sum[i] = total;
  store_param(i, p - rates.x * g / (sqrt(total) + settings.eps));
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  update_all(invocation);
}
