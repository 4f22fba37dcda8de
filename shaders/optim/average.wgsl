// optim/average
// The average of a parameter over steps of training, as torch.optim.swa_utils.AveragedModel: the parameter itself at first,
// later keep·average + take·param, or with EQUAL the mean of all so far, average + (param − average) / (n + 1).
//
// Mapping: a workgroup takes WORKGROUP·ITEMS consecutive elements; a thread every WORKGROUP-th of them.
// Bindings: param [count], of its dtype; average [count], of its own; steps [1], n, how many have been averaged.
// Numerics: f32; one rounding, at the store.
struct Average {
  count: u32,
  keep: f32,
  take: f32,         // 1 − keep
}

@group(0) @binding(0) var<uniform> numbers: Average;
@group(0) @binding(24) var<storage, read> param: array<X>;
@group(0) @binding(26) var<storage, read> steps: array<u32>;
@group(0) @binding(27) var<storage, read_write> average: array<W>;

override EQUAL: bool = false;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let first = (wid.x + wid.y * grid.x) * WORKGROUP * ITEMS + index;
  var keep = numbers.keep;
  var take = numbers.take;
  if (EQUAL) {
    take = 1.0 / (f32(steps[0]) + 1.0);
    keep = 1.0 - take;
  }
  for (var item = 0u; item < ITEMS; item++) {
    let i = first + item * WORKGROUP;
    if (i < numbers.count) {
      var value = f32(param[i]);
      if (steps[0] > 0u) {
        value = move_towards(f32(average[i]), value, keep, take);
      }
      average[i] = W(value);
    }
  }
}
