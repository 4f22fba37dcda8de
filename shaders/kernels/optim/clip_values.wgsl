// optim/clip_values
// needs: changed_gradient places worker
// Gradients cut to −bound … bound, as torch.nn.utils.clip_grad_value_. NaN stays.
//
// Mapping: a workgroup takes a place (shared/places.wgsl); a thread every WORKGROUP-th element of it.
// Bindings: grad, of its dtype, changed where it is beyond.
struct Params {
  bound: f32,
}

var<uniform> params: Params;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let taken = place_of(workgroup_number(invocation));
  for (var i = taken.first + invocation.index; i < taken.end; i += WORKGROUP) {
    let g = gradient_at(i);
    if (abs(g) > params.bound) { change_gradient(i, select(params.bound, -params.bound, g < 0.0)); }
  }
}
