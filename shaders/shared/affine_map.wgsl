// affine_map
// needs: affine saturation storage
// y = x̂·weight + bias in f32. Absent ones are 1 and 0.
override HAS_WEIGHT: bool = false;
override HAS_BIAS: bool = false;
// gemma's RMSNorm stores weight − 1.
override WEIGHT_OFFSET: f32 = 0.0;
// llama's RMSNorm rounds x̂ to the storage type before it multiplies by weight.
override CAST_FIRST: bool = false;
// DyT: x̂ is tanh(alpha·x). Nothing else is a statistic then, and alpha stands where rstd does.
override SATURATES: bool = false;

// Where the weight and bias of a segment begin: found once, outside the loops, since it takes a division.
fn parameters_of(segment: u32) -> u32 {
  if (HAS_WEIGHT || HAS_BIAS) {
    return first_parameter(segment);
  } else {
    return 0u;
  }
}

// Of a column of the segment whose parameters begin at `start`.
fn weight_at(start: u32, col: u32, valid: u32) -> vec4<f32> {
  if (HAS_WEIGHT) {
    return load_weight(start, col, valid) + WEIGHT_OFFSET;
  } else {
    return vec4<f32>(1.0);
  }
}

fn bias_at(start: u32, col: u32, valid: u32) -> vec4<f32> {
  if (HAS_BIAS) {
    return load_bias(start, col, valid);
  } else {
    return vec4<f32>();
  }
}

// The x̂ that meets weight; `centred` is x − mean.
fn normalized(centred: vec4<f32>, scale: f32) -> vec4<f32> {
  let xhat = centred * scale;
  if (CAST_FIRST) {
    return round_to_storage(xhat);
  } else if (SATURATES) {
    return saturated(xhat);
  } else {
    return xhat;
  }
}

// One rounding fewer than x̂·weight: (x − mean)·(rstd·weight) + bias.
fn affine(centred: vec4<f32>, scale: f32, w: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  if (CAST_FIRST) {
    return normalized(centred, scale) * w + b;
  } else if (SATURATES) {
    return saturated(centred * scale) * w + b;
  } else {
    return centred * (scale * w) + b;
  }
}
