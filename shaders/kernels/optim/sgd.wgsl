// optim/sgd
// needs: places update worker
// Stochastic gradient descent, as torch.optim.SGD: with g = ±grad + weight_decay·param,
// momentum_buffer = momentum·momentum_buffer + take·g, and param −= lr·g, or with momentum lr·momentum_buffer, or, Nesterov,
// lr·(g + momentum·momentum_buffer).
//
// Mapping: a workgroup takes a place (shared/places.wgsl); a thread every WORKGROUP-th element of it.
// Bindings: param, grad, of their dtypes; momentum_buffer f32, zeros before the first step; steps, the number of this step of each
// parameter, where there is DAMPENING; settings, which can change in every step and are therefore no part of the dispatch.
// Numerics: f32; one rounding of param, at the store.

// Of a group of parameters. The host lays out the same (src/kernels/optim.ts).
struct Settings {
  skip: u32,         // nothing is to change
  lr: f32,
  momentum: f32,
  take: f32,         // 1 − dampening
  weight_decay: f32,
  sign: f32,         // −1 to climb
}

var<storage, read_write> momentum_buffer: array<f32>;
var<storage, read> steps: array<u32>;
var<storage, read> settings: Settings;

override HAS_MOMENTUM: bool = false;
override NESTEROV: bool = false;
override DAMPENING: bool = false;

// The learning rate, and what the momentum takes of a gradient: all of the first one.
fn rates_of(slot: u32) -> vec2<f32> {
  if (DAMPENING) {
    return vec2<f32>(settings.lr, select(settings.take, 1.0, steps[count_of(slot)] == 1u));
  } else {
    return vec2<f32>(settings.lr, 1.0);
  }
}

fn update(i: u32, rates: vec2<f32>) {
  let p = param_of(i);
  let g = settings.sign * grad_of(i) + settings.weight_decay * p;
  var d = g;
  if (HAS_MOMENTUM) {
    d = settings.momentum * momentum_buffer[i] + rates.y * g;
    momentum_buffer[i] = d;
    if (NESTEROV) {
      d = g + settings.momentum * d;
    }
  }
  store_param(i, p - rates.x * d);
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  update_all(invocation);
}
