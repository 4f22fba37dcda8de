// optim/average
// needs: move_towards storage worker
// The average of a parameter over steps of training, as torch.optim.swa_utils.AveragedModel: the parameter itself at first,
// later keep·average + take·param, or with EQUAL the mean of all so far, average + (param − average) / (n + 1).
//
// Mapping: a workgroup takes WORKGROUP·ITEMS consecutive elements; a thread every WORKGROUP-th of them.
// Bindings: param [count], of its dtype; average [count], of its own; steps [1], n, how many have been averaged.
// Numerics: f32; one rounding, at the store.
struct Params {
  count: u32,
  keep: f32,
  take: f32,         // 1 − keep
}

var<uniform> params: Params;
var<storage, read> param: array<X>;
var<storage, read> steps: array<u32>;
var<storage, read_write> average: array<SHARED_W>;

override EQUAL: bool = false;

fn average_of(i: u32) -> f32 {
  if (W_PACKED) {
    return w_element(atomicLoad(&average[w_entry(i)]), i);
  } else {
    return f32(average[i]);
  }
}

fn store_average(i: u32, v: f32) {
  if (W_PACKED) {
    atomicAnd(&average[w_entry(i)], other_half(i));
    atomicOr(&average[w_entry(i)], half_word(w_words(vec4<f32>(v)), i));
  } else {
    average[i] = W(v);
  }
}

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let first = first_item(invocation);
  var kept_share = params.keep;
  var take = params.take;
  if (EQUAL) {
    take = 1.0 / (f32(steps[0]) + 1.0);
    kept_share = 1.0 - take;
  }
  for (var item = 0u; item < ITEMS; item++) {
    let i = first + item * WORKGROUP;
    if (i < params.count) {
      var value = x_element(param[x_entry(i)], i);
      if (steps[0] > 0u) {
        value = move_towards(average_of(i), value, kept_share, take);
      }
      store_average(i, value);
    }
  }
}
