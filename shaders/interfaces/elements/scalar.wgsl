// elements/scalar
// needs: tensors
// A thread has one element, of any tensor (interfaces/tensors/scalar.wgsl).
alias V = f32;  // what a thread has
alias U = u32;
alias I = i32;
const WIDTH = 1u;

fn read_x(i: u32) -> V {
  return load_x_element(i);
}

fn read_dy(i: u32) -> V {
  return load_dy_element(i);
}

fn write_y(i: u32, v: V) {
  store_y(place(i), 1u, vec4<f32>(v));
}

fn write_dx(i: u32, v: V) {
  store_dx(place(i), 1u, vec4<f32>(v));
}
