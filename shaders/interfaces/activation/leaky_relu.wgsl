// activation/leaky_relu
// activation(z) = z where z > 0, else NEGATIVE_SLOPE·z (torch.nn.LeakyReLU).
override NEGATIVE_SLOPE: f32 = 0.01;

fn activate(z: vec4<f32>) -> vec4<f32> {
  return z * derivative(z);
}

fn derivative(z: vec4<f32>) -> vec4<f32> {
  return select(vec4<f32>(NEGATIVE_SLOPE), vec4<f32>(1.0), z > vec4<f32>());
}
