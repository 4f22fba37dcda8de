// row_quad
// needs: params tensors
// A quad of the row that begins at `base`.
struct RowQuad {
  col: u32,    // its first column
  valid: u32,  // how many of its four elements the row has
  at: u32,     // its place in tensors like x
}

fn row_quad(base: u32, q: u32) -> RowQuad {
  let col = 4u * q;
  return RowQuad(col, valid_of(params.cols - col), place(base + col));
}
