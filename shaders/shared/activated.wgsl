// activated
// needs: activation
// The activation of a value, and how it grows there, where there is one; else the value and 1.
override HAS_ACTIVATION: bool = false;

fn activated(z: vec4<f32>) -> vec4<f32> {
  if (HAS_ACTIVATION) {
    return activate(z);
  } else {
    return z;
  }
}

// v·activation'(z).
fn times_slope(v: vec4<f32>, z: vec4<f32>) -> vec4<f32> {
  if (HAS_ACTIVATION) {
    return v * derivative(z);
  } else {
    return v;
  }
}
