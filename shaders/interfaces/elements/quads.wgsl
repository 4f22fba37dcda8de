// elements/quads
// needs: tensors
// A thread has four consecutive elements of one channel: where `inner` is a multiple of four.
alias V = vec4<f32>;  // what a thread has
alias U = vec4<u32>;
alias I = vec4<i32>;
const WIDTH = 4u;

fn read_x(i: u32) -> V {
  return load_x(place(4u * i), 4u);
}

fn read_dy(i: u32) -> V {
  return load_dy(place(4u * i), 4u);
}

fn write_y(i: u32, v: V) {
  store_y(place(4u * i), 4u, v);
}

fn write_dx(i: u32, v: V) {
  store_dx(place(4u * i), 4u, v);
}
