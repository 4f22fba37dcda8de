// rows/backward_columns
// needs: affine_map gradients grouped params row_means store_gradient tensors upstream worker
// dx, and dweight and dbias or their partials (interfaces/gradients), of a row norm whose mean(g) and mean(g·x̂) are
// known, or are a few partial sums away (interfaces/row_means): the second pass of rows that do not fit on chip, and of adapters where
// barriers cost too much.
//
// Mapping: a thread owns four neighbouring columns of the `span` from first_col on, or eight with TWO_QUADS, and a split
// of the rows, so the columns' sums stay in registers and neighbouring threads load neighbouring columns. No barrier.
// TWO_QUADS is for software adapters, which pay for a load of a row's statistics that all lanes share as for any other;
// past the last quad a thread does the last one again. They also pay for starting a thread: `column_steps` times it does
// the next columns, a dispatch of columns on.
// Bindings: x, dy, dsum, dx [rows, cols]; weight, bias [cols]; mean [rows] (hi, lo) and sums [rows] (mean(g), mean(g·x̂),
// scale, unit), or both in sums (shared/row_sums.wgsl), or partial sums with the statistics behind them; dweight, dbias [cols] or partials [splits, span] (Σdy, Σdy·x̂).
// Numerics: sums over the rows of a split, in blocks about the root of their number long, then merge/gradients.wgsl.
// Determinism: one writer per split.
//
// Measured on SwiftShader, 4096×1024: 1, 2, 4 quads a thread: 20, 14, 13 ms beside a copy of 8.
// Whether anyone wants dweight or dbias.
override HAS_GRADIENTS: bool = true;
override TWO_QUADS: bool = false;
// Whether a split is a single row, with no sums to keep. A loop that runs once costs SwiftShader as much as all else: 39 and
// 15 ms of both cores for 1×1048576.
override ONE_ROW: bool = false;
// Whether a split has so few rows that they are added up without blocks.
override ONE_CHUNK: bool = false;
// Whether the threads of a workgroup all have the same split.
override ONE_SPLIT: bool = false;

@compute @workgroup_size(WORKGROUP) fn main(invocation: Invocation) {
  let quads = (params.span + 3u) / 4u;
  let each = select(1u, 2u, TWO_QUADS);
  let bundles = (quads + each - 1u) / each;
  let threads = (bundles + params.column_steps - 1u) / params.column_steps;  // of a split
  var split = thread_id(invocation) / threads;
  var thread = thread_id(invocation) % threads;
  if (ONE_SPLIT) {
    let workgroups = (threads + WORKGROUP - 1u) / WORKGROUP;
    split = workgroup_number(invocation) / workgroups;
    thread = workgroup_number(invocation) % workgroups * WORKGROUP + invocation.index;
  }
  let rows = rows_of_split(min(split, params.splits - 1u));
  prepare_rows(rows.first, rows.step, rows.count, invocation.index);
  if (split >= params.splits) { return; }
  if (ONE_ROW) {
    let means = means_of_row(rows.first, 0u);
    let parameters = parameters_of(rows.first);
    for (var q = thread; q < quads; q += threads) {
      let col = params.first_col + 4u * q;
      let valid = valid_of(params.cols - col);
      let g = store_gradient(Gradients(), rows.first, col, means, weight_at(parameters, col, valid), shift_at(parameters, col, valid));
      if (HAS_GRADIENTS) {
        store_gradients(split, col, g.dbias, g.dweight);
      }
    }
  } else {
    for (var bundle = thread; bundle < bundles; bundle += threads) {
      walk(split, params.first_col + 4u * each * bundle, quads);
    }
  }
}

struct SplitRows {
  first: u32,
  step: u32,
  count: u32,
}

// Splits are a multiple of the groups, and all rows of one are sets of the same group.
fn rows_of_split(split: u32) -> SplitRows {
  var dealt = Walk(split * params.split_length, 1u, params.rows);
  if (GROUPED) {
    dealt = walk_of_group(split, params.splits);
  }
  let end = min(dealt.first + dealt.step * params.split_length, dealt.end);
  return SplitRows(dealt.first, dealt.step, (end - dealt.first + dealt.step - 1u) / dealt.step);
}

// All rows of a split, at the columns from col0 on.
fn walk(split: u32, col0: u32, quads: u32) {
  let col1 = min(col0 + 4u, params.first_col + 4u * (quads - 1u));
  let rows = rows_of_split(split);
  let parameters = parameters_of(rows.first);
  let w0 = weight_at(parameters, col0, valid_of(params.cols - col0));
  let w1 = weight_at(parameters, col1, valid_of(params.cols - col1));
  let b0 = shift_at(parameters, col0, valid_of(params.cols - col0));
  let b1 = shift_at(parameters, col1, valid_of(params.cols - col1));

  var total0 = Gradients();
  var total1 = Gradients();
  var i = 0u;
  while (i < rows.count) {
    let stop = select(min(rows.count, i + params.block), rows.count, ONE_CHUNK);
    var g0 = Gradients();
    var g1 = Gradients();
    for (; i < stop; i++) {
      let row = rows.first + i * rows.step;
      let means = means_of_row(row, i);
      g0 = store_gradient(g0, row, col0, means, w0, b0);
      if (TWO_QUADS) {
        g1 = store_gradient(g1, row, col1, means, w1, b1);
      }
    }
    if (ONE_CHUNK) {
      total0 = g0;
      total1 = g1;
    } else {
      total0 = Gradients(total0.dbias + g0.dbias, total0.dweight + g0.dweight);
      total1 = Gradients(total1.dbias + g1.dbias, total1.dweight + g1.dweight);
    }
  }
  if (HAS_GRADIENTS) {
    store_gradients(split, col0, total0.dbias, total0.dweight);
    if (TWO_QUADS) {
      if (col1 != col0) {
        store_gradients(split, col1, total1.dbias, total1.dweight);
      }
    }
  }
}
