// optim/sgd
// needs: parameter worker
// Stochastic gradient descent, as torch.optim.SGD: with g = ±grad + weight_decay·param,
// momentum_buffer = momentum·momentum_buffer + take·g, and param −= lr·g, or with momentum lr·momentum_buffer, or, Nesterov,
// lr·(g + momentum·momentum_buffer).
//
// Mapping: a workgroup takes WORKGROUP·ITEMS consecutive elements; a thread every WORKGROUP-th of them.
// Bindings: param, grad [count], of the parameter's dtype; momentum_buffer [count] f32, zeros before the first step;
// settings, which can change in every step and are therefore no part of the dispatch.
// Numerics: f32; one rounding of param, at the store.
struct Params {
  count: u32,
  undamped: u32,     // whether take is 1, as in the first step of a parameter
}

// Of a group of parameters. The host lays out the same (src/kernels/optim.ts).
struct Settings {
  lr: f32,
  momentum: f32,
  take: f32,         // 1 − dampening
  weight_decay: f32,
  sign: f32,         // −1 to climb
}

var<uniform> params: Params;
var<storage, read_write> momentum_buffer: array<f32>;
var<storage, read> settings: Settings;

override HAS_MOMENTUM: bool = false;
override NESTEROV: bool = false;

fn update(i: u32) {
  let p = param_of(i);
  let g = settings.sign * grad_of(i) + settings.weight_decay * p;
  var d = g;
  if (HAS_MOMENTUM) {
    let take = select(settings.take, 1.0, params.undamped > 0u);
    d = settings.momentum * momentum_buffer[i] + take * g;
    momentum_buffer[i] = d;
    if (NESTEROV) {
      d = g + settings.momentum * d;
    }
  }
  store_param(i, p - settings.lr * d);
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let first = first_item(invocation);
  for (var item = 0u; item < ITEMS; item++) {
    let i = first + item * WORKGROUP;
    if (i < params.count) {
      update(i);
    }
  }
}
