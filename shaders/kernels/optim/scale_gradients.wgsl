// optim/scale_gradients
// needs: changed_gradient places worker
// Gradients times a factor: that of clipping, or that of unscaling, which with FINDS also says whether one of them is infinite or NaN.
//
// Mapping: a workgroup takes a place (shared/places.wgsl); a thread every WORKGROUP-th element of it.
// Bindings: grad, of its dtype, changed; factor [1]; found_inf [1], 1 once something is not finite.
// Numerics: f32; one rounding, at the store. What is not finite is found by its bits.
var<storage, read> factor: array<f32>;
var<storage, read_write> found_inf: array<atomic<u32>>;

override FINDS: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let taken = place_of(workgroup_number(invocation));
  for (var i = taken.first + invocation.index; i < taken.end; i += WORKGROUP) {
    let g = gradient_at(i);
    if (FINDS) {
      if ((bitcast<u32>(g) & 0x7f800000u) == 0x7f800000u) { atomicOr(&found_inf[0], 1u); }
    }
    change_gradient(i, g * factor[0]);
  }
}
