// merge/sums
// needs: gradient_stores merged_sums params set_statistics storage worker
// mean(g) and mean(g·x̂) of every set from their partial sums, g = dy·weight (shared/merged_sums.wgsl), and with MAKES_GRADIENTS dbias and
// dweight of the same partials.
//
// Mapping: LANES lanes per set; a set's parts are splits × (channels / groups).
// Bindings: partials [samples, splits, channels] (Σdy, Σdy·x̂); weight [channels]; rstd [samples·groups]; dweight, dbias [channels];
// mean [samples·groups] (hi, lo), with JOINT;
// sums [samples·groups] (mean(g), mean(g·x̂), scale, unit): scale and unit are what shared/set_statistics.wgsl makes of
// rstd. They are stored here because some kernels have no binding left for rstd, and because making them again in every
// thread is slow: LayerNorm's backward pass at 4096×1024 took 42 ms on SwiftShader when its threads did that, and takes
// 37 now. With JOINT there are two vec4s per set, the second (hi, lo, 0, 0), both multiplied by unit.
// Numerics: blocks about the root of the number of parts. Determinism: parts are added in a fixed order.
var<storage, read_write> sums: array<vec4<f32>>;
var<storage, read> weight: array<W>;
var<storage, read> mean: array<vec2<f32>>;
var<storage, read> rstd: array<f32>;

// Whether the mean rides along, too.
override JOINT: bool = false;
override HAS_MEAN: bool = true;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let worker = worker_of(invocation, params.samples * params.groups);
  let which = worker.id;
  var w = 1.0;
  if (PER_CHANNEL) {
    if (HAS_WEIGHT) {
      if (ONE_CHANNEL) {
        let channel = which % params.groups;
        w = w_element(weight[w_entry(channel)], channel) + WEIGHT_OFFSET;
      }
    }
  }
  let found = merged_sums(which, worker, w);
  if (worker.lane == 0u && !worker.surplus) {
    if (MAKES_GRADIENTS) {
      store_gradients(which, found.unweighted.x, found.unweighted.y);
    }
    let r = bitcast<u32>(rstd[params.first_set + which]);
    if (JOINT) {
      var m = vec2<f32>();
      if (HAS_MEAN) {
        m = mean[params.first_set + which];
      }
      let s = statistics_from(m.x, m.y, r);
      sums[2u * which] = vec4<f32>(found.means, s.scale, s.unit);
      sums[2u * which + 1u] = vec4<f32>(s.hi, s.lo, 0.0, 0.0);
    } else {
      let s = statistics_from(0.0, 0.0, r);
      sums[which] = vec4<f32>(found.means, s.scale, s.unit);
    }
  }
}

