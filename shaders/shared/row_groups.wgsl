// row_groups
// needs: worker
// What the row-groups of a workgroup, LANES threads each, have in the same items, added up in a fixed order: the first
// row-group gets the sums. To be called in uniform control flow. The host sees to it that WORKGROUP·ITEMS ≤ 1024.
var<workgroup> other_rows: array<vec4<f32>, WORKGROUP / 2u * ITEMS>;

fn add_row_groups(own: ptr<function, array<vec4<f32>, ITEMS>>, index: u32) {
  for (var half = WORKGROUP / 2u; half >= LANES; half /= 2u) {
    if (index >= half && index < 2u * half) {
      for (var j = 0u; j < ITEMS; j++) {
        other_rows[j * (WORKGROUP / 2u) + index - half] = (*own)[j];
      }
    }
    workgroupBarrier();
    if (index < half) {
      for (var j = 0u; j < ITEMS; j++) {
        (*own)[j] += other_rows[j * (WORKGROUP / 2u) + index];
      }
    }
    workgroupBarrier();  // before the next ones write other_rows
  }
}
