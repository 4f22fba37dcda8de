// optim/rmsprop
// needs: move_towards update worker
// RMSprop (Hinton, lecture 6e of "Neural networks for machine learning"), CENTERED as in Graves 2013, arXiv 1308.0850; as
// torch.optim.RMSprop: with g = ±grad + weight_decay·param, square_avg = α·square_avg + (1 − α)·g², and CENTERED
// grad_avg = α·grad_avg + (1 − α)·g, d = g / (sqrt(square_avg − grad_avg²) + eps), without grad_avg unless CENTERED;
// param −= lr·d, or with momentum momentum_buffer = momentum·momentum_buffer + d and param −= lr·momentum_buffer.
//
// Mapping: a workgroup takes a place (shared/places.wgsl); a thread every WORKGROUP-th element of it.
// Bindings: param, grad, of their dtypes; square_avg, grad_avg, momentum_buffer f32; settings, which can change in every step and
// are therefore no part of the dispatch.
// Numerics: f32; one rounding of param, at the store. Averages move towards what they average. A variance that rounding has made
// negative is 0, where PyTorch has NaN.

// Of a group of parameters. The host lays out the same (src/kernels/optim.ts).
struct Settings {
  skip: u32,         // nothing is to change
  lr: f32,
  keep: f32,         // α
  take: f32,         // 1 − α
  eps: f32,
  weight_decay: f32,
  momentum: f32,
  sign: f32,         // −1 to climb
}

var<storage, read_write> square_avg: array<f32>;
var<storage, read_write> grad_avg: array<f32>;
var<storage, read_write> momentum_buffer: array<f32>;
var<storage, read> settings: Settings;

override CENTERED: bool = false;
override HAS_MOMENTUM: bool = false;

fn update(i: u32, rates: vec2<f32>) {
  let p = param_of(i);
  let g = settings.sign * grad_of(i) + settings.weight_decay * p;
  let square = move_towards(square_avg[i], g * g, settings.keep, settings.take);
  square_avg[i] = square;
  var spread = square;
  if (CENTERED) {
    let mean_gradient = move_towards(grad_avg[i], g, settings.keep, settings.take);
    grad_avg[i] = mean_gradient;
    spread = square - mean_gradient * mean_gradient;
    // Not max(), which would make 0 of NaN.
    if (spread < 0.0) { spread = 0.0; }
  }
  var d = g / (sqrt(spread) + settings.eps);
  if (HAS_MOMENTUM) {
    d = rates.y * momentum_buffer[i] + d;
    momentum_buffer[i] = d;
  }
  store_param(i, p - rates.x * d);
}

// The learning rate and the momentum.
fn rates_of(_slot: u32) -> vec2<f32> {
  return vec2<f32>(settings.lr, settings.momentum);
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  update_all(invocation);
}
