// optim/clip_factor
// needs: largest_and_sum worker
// The norm of all gradients from partial ones, and the factor that clips them to it, as torch.nn.utils.clip_grad_norm_:
// min(1, max_norm / (norm + 1e-6)), 0 where the norm is infinite and NaN where it is NaN.
//
// Mapping: one workgroup; a thread takes every WORKGROUP-th partial.
// Bindings: partials_of_norm [partial_count]; norm_bits, factor_bits [1], f32 as bits, since WGSL has no way to write a NaN.
// Numerics: f32.
struct Params {
  partial_count: u32,
  max_norm: f32,
}

var<uniform> params: Params;
var<storage, read> partials_of_norm: array<Partial>;
var<storage, read_write> norm_bits: array<u32>;
var<storage, read_write> factor_bits: array<u32>;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  var own = Partial();
  for (var i = invocation.index; i < params.partial_count; i += WORKGROUP) {
    own = joined(own, partials_of_norm[i]);
  }
  let all = of_workgroup(own, invocation.index);
  if (invocation.index == 0u && workgroup_number(invocation) == 0u) {
    var units = all.total;
    if (NORM == 2u) { units = sqrt(all.total); }
    if (NORM == 0u) { units = 1.0; }
    var norm = bitcast<u32>(all.largest * units);
    if (all.faults > 0u) { norm = select(0x7f800000u, 0x7fc00000u, all.faults > 1u); }
    var clipping = bitcast<u32>(min(1.0, params.max_norm / (all.largest * units + 1e-6)));
    if (norm == 0x7f800000u) { clipping = 0u; }
    if (norm > 0x7f800000u) { clipping = norm; }
    norm_bits[0] = norm;
    factor_bits[0] = clipping;
  }
}
