// dy·x·d^(−beta − 1) of channel c, which response/ratios.wgsl has stored: for long windows.
@group(0) @binding(12) var<storage, read> ratios: array<V>;

fn ratio_at(p: Place, c: u32) -> V {
  return ratios[ratio_place(p, c)];
}
