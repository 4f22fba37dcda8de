// row_quad
// needs: params tensors worker
// The quads of a lane in the row that begins at `base`: lane l holds quads l, l + LANES, …, ITEMS of them. All of a row are
// loaded before any is used, and no branch stands around a load: a compiler would wait for each load within its branch.
// The host guarantees LANES·(ITEMS − 1) < quads of a row ≤ LANES·ITEMS: only the last item may be past its end.
//
// Whether LANES·ITEMS quads are exactly a row.
override WHOLE: bool = false;
// So many items get weight and bias, which a cache holds, before they are needed: registers for those of all are dear.
const AHEAD = 4u;

struct RowQuad {
  col: u32,      // its first column
  valid: u32,    // how many of its four elements the row has
  at: u32,       // its place in tensors like x
  beyond: bool,  // whether the row has ended before it: this is the row's last quad then, to be loaded and not to count
}

fn row_quad(base: u32, lane: u32, item: u32) -> RowQuad {
  let q = lane + item * LANES;
  if (WHOLE) {
    return RowQuad(4u * q, valid_of(4u), place(base + 4u * q), false);
  } else {
    // That of no other item depends on anything, which leaves no branch behind in stores.
    let ends = item == ITEMS - 1u;
    let last = select(q, (params.cols - 1u) / 4u, ends);
    let col = 4u * min(q, last);
    return RowQuad(col, valid_of(select(4u, params.cols - col, ends)), place(base + col), q > last);
  }
}

// Zero where a quad does not count, or reaches past its row.
fn in_row(quad: RowQuad, v: vec4<f32>) -> vec4<f32> {
  if (WHOLE) {
    return within(quad.valid, v);
  } else {
    return select(within(quad.valid, v), vec4<f32>(), quad.beyond);
  }
}
