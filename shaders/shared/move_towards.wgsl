// move_towards
// rest·old + take·value, rest + take = 1, from the nearer end: what f32 cannot hold of either does not scale the result.
fn move_towards(old: f32, value: f32, rest: f32, take: f32) -> f32 {
  let gap = value - old;
  return select(value - rest * gap, old + take * gap, take < 0.5);
}
