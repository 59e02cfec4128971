//! Rearrangement of data: indexed rows, transposes, running sums.

use mixer::{Access, BufferId, Shader};

use super::builder::Builder;
use super::elementwise::{ROW_OF_GROUPS, grid, line_of_groups};
use super::stream::{Stream, vectors, word};

const ROWS: Shader = Shader {
    label: "rows",
    source: wgsl!("ops/gpu/line.wgsl", "ops/gpu/rows.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::ReadWrite],
};

const TRANSPOSE: Shader = Shader {
    label: "transpose",
    source: wgsl!("ops/gpu/transpose.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::ReadWrite],
};

const PREFIX_SUM: Shader = Shader {
    label: "prefix_sum",
    source: wgsl!("ops/gpu/line.wgsl", "ops/gpu/prefix_sum.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::ReadWrite],
};

/// Rows and columns of a transposed tile.
const TILE: usize = 32;

/// Invocations of a running sum's workgroup.
const THREADS: usize = 64;

/// Direction of [`move_rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// y row i = x row index\[i\].
    Gather,
    /// y row index\[i\] = x row i.
    Scatter,
}

/// Moves rows of `width` floats (rounded up to a multiple of four) within each of `batch` sequences. `index` has words
/// `[batch, rows]` from word `index_offset` on. A sequence has `x_rows` rows in x and `y_rows` rows in y. y must have a
/// buffer of its own.
pub fn move_rows(
    builder: &mut Builder,
    how: Move,
    (x, x_rows): (Stream, usize),
    (index, index_offset): (BufferId, usize),
    (y, y_rows): (Stream, usize),
    [batch, rows, width]: [usize; 3],
) {
    let row_vectors = width.div_ceil(4);
    let items = batch * rows * row_vectors;
    builder.dispatch(
        ROWS,
        &[("SCATTER", f64::from(u8::from(how == Move::Scatter)))],
        &[
            word(items),
            word(row_vectors),
            word(rows),
            word(x_rows),
            word(y_rows),
            vectors(x.offset),
            vectors(x.stride),
            vectors(y.offset),
            vectors(y.stride),
            word(index_offset),
        ],
        &[x.buffer, index, y.buffer],
        grid(items),
        items as u64,
    );
}

/// y\[b, j, i\] = x\[b, i, j\] for `batches` matrices x of `[rows, columns]` floats, `x_batch` and `y_batch` floats
/// apart. Y's padding columns are not written. y must be in another buffer.
pub fn transpose(
    builder: &mut Builder,
    (x, x_batch): (Stream, usize),
    (y, y_batch): (Stream, usize),
    [batches, rows, columns]: [usize; 3],
) {
    let tiles = rows.div_ceil(TILE);
    for first in (0..tiles).step_by(ROW_OF_GROUPS) {
        let count = ROW_OF_GROUPS.min(tiles - first);
        builder.dispatch(
            TRANSPOSE,
            &[],
            &[
                word(rows),
                word(columns),
                word(x.offset),
                word(x.stride),
                word(x_batch),
                word(y.offset),
                word(y.stride),
                word(y_batch),
                word(first),
            ],
            &[x.buffer, y.buffer],
            [columns.div_ceil(TILE), count, batches],
            (batches * count * TILE * columns) as u64,
        );
    }
}

/// An axis of a running sum: the first element, and the distances between steps and between outer indices, in floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Buffer and first element. The stream's stride is the distance between steps.
    pub stream: Stream,
    /// Distance between outer indices.
    pub outer: usize,
}

/// y\[o, t, c\] = Σ x\[o, s, c\] over s ≤ t (s < t with `exclusive`) for `[outer, steps, width]`, the width rounded up
/// to a multiple of four. One invocation traverses all steps of four columns, so this suits a few hundred steps and
/// many columns. y must be in another buffer.
pub fn prefix_sum(
    builder: &mut Builder,
    x: Axis,
    y: Axis,
    exclusive: bool,
    [outer, steps, width]: [usize; 3],
) {
    let row_vectors = width.div_ceil(4);
    let items = outer * row_vectors;
    let groups = items.div_ceil(THREADS);
    builder.dispatch(
        PREFIX_SUM,
        &[("EXCLUSIVE", f64::from(u8::from(exclusive)))],
        &[
            word(items),
            word(row_vectors),
            word(steps),
            vectors(x.stream.offset),
            vectors(x.stream.stride),
            vectors(x.outer),
            vectors(y.stream.offset),
            vectors(y.stream.stride),
            vectors(y.outer),
        ],
        &[x.stream.buffer, y.stream.buffer],
        line_of_groups(groups),
        (outer * steps * width) as u64,
    );
}
