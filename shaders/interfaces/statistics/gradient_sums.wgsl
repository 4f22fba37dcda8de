// statistics/gradient_sums
// The two sums of a backward pass: Σg and Σg·x̂, with g = dy or dy·weight. Both are centred: never Σg·x − mean·Σg.
alias Part = vec2<f32>;

fn merge(a: Part, b: Part) -> Part {
  return a + b;
}
