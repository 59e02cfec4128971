//! Softmax over stored rows.

use mixer::{Access, Shader};

use super::builder::Builder;
use super::elementwise::line_of_groups;
use super::stream::{Stream, vectors, word};

const SHADER: Shader = Shader {
    label: "softmax",
    source: wgsl!("ops/gpu/line.wgsl", "ops/gpu/softmax.wgsl"),
    entry: "main",
    bindings: &[Access::ReadWrite],
};

/// Replaces each row of `matrices` contiguous matrices `[rows, columns]` in `x` by softmax(scale · row). With `causal`,
/// row i includes columns up to i only. Excluded columns and padding up to the stride become zero.
pub fn softmax_rows(
    builder: &mut Builder,
    x: Stream,
    matrices: usize,
    [rows, columns]: [usize; 2],
    scale: f32,
    causal: bool,
) {
    let all_rows = matrices * rows;
    let row_flops = 5 * columns as u64;
    let at_once =
        usize::try_from(builder.target().max_dispatch_flops / row_flops.max(1)).unwrap_or(usize::MAX).max(1);
    let mut first = 0;
    while first < all_rows {
        let count = at_once.min(all_rows - first);
        builder.dispatch(
            SHADER,
            &[("CAUSAL", f64::from(u8::from(causal)))],
            &[
                word(rows),
                word(columns),
                vectors(x.offset),
                vectors(x.stride),
                word(first + count),
                word(first),
                (scale * std::f32::consts::LOG2_E).to_bits(),
            ],
            &[x.buffer],
            line_of_groups(count),
            count as u64 * row_flops,
        );
        first += count;
    }
}
