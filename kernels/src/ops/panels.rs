//! Panel-major streams `[groups, rows, PANEL]`, as [`super::linear::Linear::apply_paneled`] writes them: a group of
//! eight channels is one contiguous stream over time.

use super::gemm::PANEL;

/// Floats of a stream of `rows` rows of `width` channels.
pub fn floats(rows: usize, width: usize) -> usize {
    rows * width.next_multiple_of(PANEL)
}

/// Rows `first ..` of a panel-major stream of `rows` rows, into row-major `to`, `[n, width]`.
pub fn gather(stream: &[f32], rows: usize, first: usize, width: usize, to: &mut [f32]) {
    for (group, panel) in stream.chunks_exact(rows * PANEL).enumerate() {
        let columns = PANEL.min(width.saturating_sub(group * PANEL));
        let from = panel[first * PANEL..].chunks_exact(PANEL);
        for (to, from) in to.chunks_exact_mut(width).zip(from) {
            to[group * PANEL..][..columns].copy_from_slice(&from[..columns]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathers_any_rows_of_any_width() {
        for width in [1, 8, 13, 24] {
            let rows = 10;
            let mut stream = vec![f32::NAN; floats(rows, width)];
            for row in 0..rows {
                for channel in 0..width {
                    stream[(channel / PANEL * rows + row) * PANEL + channel % PANEL] =
                        (row * 100 + channel) as f32;
                }
            }
            let mut got = vec![0.0; 3 * width];
            gather(&stream, rows, 4, width, &mut got);
            for (index, value) in got.iter().enumerate() {
                assert_eq!(*value, ((4 + index / width) * 100 + index % width) as f32);
            }
        }
    }
}
