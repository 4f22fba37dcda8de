// largest_and_sum
// needs: worker
// The largest of some sizes, and the sum of their powers relative to its own, as LAPACK's nrm2 has them.
struct Partial {
  largest: f32,
  total: f32,     // Σ (size / largest)^NORM
  faults: u32,    // 1: an infinity, 2: a NaN
}

// 1 or 2; 0: the largest alone.
override NORM: u32 = 2u;

var<workgroup> shared_partials: array<Partial, WORKGROUP>;

fn powered(ratio: f32) -> f32 {
  return select(ratio, ratio * ratio, NORM == 2u);
}

fn with_value(p: Partial, value: f32) -> Partial {
  let bits = bitcast<u32>(value) & 0x7fffffffu;
  if (bits >= 0x7f800000u) {
    return Partial(p.largest, p.total, p.faults | select(1u, 2u, bits > 0x7f800000u));
  }
  return joined(p, Partial(abs(value), select(0.0, 1.0, bits > 0u), 0u));
}

fn joined(a: Partial, b: Partial) -> Partial {
  let larger = max(a.largest, b.largest);
  var total = 0.0;
  if (larger > 0.0) {
    total = a.total * powered(a.largest / larger) + b.total * powered(b.largest / larger);
  }
  return Partial(larger, total, a.faults | b.faults);
}

// That of a workgroup, in its thread 0.
fn of_workgroup(own: Partial, thread: u32) -> Partial {
  shared_partials[thread] = own;
  for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      shared_partials[thread] = joined(shared_partials[thread], shared_partials[thread + half]);
    }
  }
  workgroupBarrier();
  return shared_partials[0];
}
