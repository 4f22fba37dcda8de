// optim/sgd
// Stochastic gradient descent, as torch.optim.SGD: with g = ±grad + weight_decay·param,
// momentum_buffer = momentum·momentum_buffer + take·g, and param −= lr·g, or with momentum lr·momentum_buffer, or, Nesterov,
// lr·(g + momentum·momentum_buffer).
//
// Mapping: a workgroup takes WORKGROUP·ITEMS consecutive elements; a thread every WORKGROUP-th of them.
// Bindings: param, grad [count], of the parameter's dtype; momentum_buffer [count] f32, zeros before the first step.
// Numerics: f32; one rounding of param, at the store.
// The host guarantees: take is 1 in the first step of a parameter, and 1 − dampening after it.
struct Sgd {
  count: u32,
  lr: f32,
  momentum: f32,
  take: f32,
  weight_decay: f32,
  sign: f32,         // −1 to climb
}

@group(0) @binding(0) var<uniform> numbers: Sgd;
@group(0) @binding(24) var<storage, read_write> param: array<W>;
@group(0) @binding(25) var<storage, read> grad: array<W>;
@group(0) @binding(27) var<storage, read_write> momentum_buffer: array<f32>;

override HAS_MOMENTUM: bool = false;
override NESTEROV: bool = false;

fn update(i: u32) {
  let p = f32(param[i]);
  let g = numbers.sign * f32(grad[i]) + numbers.weight_decay * p;
  var d = g;
  if (HAS_MOMENTUM) {
    d = numbers.momentum * momentum_buffer[i] + numbers.take * g;
    momentum_buffer[i] = d;
    if (NESTEROV) {
      d = g + numbers.momentum * d;
    }
  }
  param[i] = W(p - numbers.lr * d);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let first = (wid.x + wid.y * grid.x) * WORKGROUP * ITEMS + index;
  for (var item = 0u; item < ITEMS; item++) {
    let i = first + item * WORKGROUP;
    if (i < numbers.count) {
      update(i);
    }
  }
}
