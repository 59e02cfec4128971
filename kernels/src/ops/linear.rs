//! The linear layer y = x Wᵀ + b, with W packed once at set-up.

use mixer::{Count, Floats, Memory, MixerError, Parallel};

use super::gemm::{ONE_ROW, PANEL, Store, Tile, multiply_panels};
use super::gemv::add_panel;
use super::grain::{is_worth, product};
use super::parts::{Matrix, for_each};
use super::simd::{F32x4, LANES};

/// Rows of x per task: 48 rows of width 256 are 48 KiB, which fit a second-level cache.
pub const BLOCK: usize = 48;

/// Weights `[outputs, inputs]` and bias `[outputs]`, packed for the microkernel.
#[derive(Debug)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    /// `⌈outputs / PANEL⌉` panels of `[inputs, PANEL]`.
    panels: Floats,
    /// `[outputs]`, zero-padded to whole panels; zeros where the layer has no bias.
    bias: Floats,
}

impl Linear {
    /// Floats that [`Linear::new`] takes from the memory budget.
    pub fn floats(inputs: usize, outputs: usize) -> Count {
        Count::from(outputs.next_multiple_of(PANEL)) * (Count::from(inputs) + 1)
    }

    /// Packs `weight`, `[outputs, inputs]` row-major as PyTorch stores it, and the optional `bias`.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(
        memory: &Memory,
        inputs: usize,
        outputs: usize,
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<Self, MixerError> {
        let row = |output: usize| {
            let row = weight.get(output * inputs..(output + 1) * inputs)?;
            Some((row, bias.and_then(|bias| bias.get(output)).copied().unwrap_or_default()))
        };
        Self::of_rows(memory, inputs, outputs, row)
    }

    /// As [`Linear::new`], in another order of outputs: `row(output)` gives the `inputs` weights and the bias of an output,
    /// or nothing for one that is always zero.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn of_rows<'a>(
        memory: &Memory,
        inputs: usize,
        outputs: usize,
        row: impl Fn(usize) -> Option<(&'a [f32], f32)>,
    ) -> Result<Self, MixerError> {
        let padded = outputs.next_multiple_of(PANEL);
        let mut panels = memory.floats(padded * inputs)?;
        let mut bias = memory.floats(padded)?;
        for (output, to) in bias.iter_mut().enumerate().take(outputs) {
            let Some((weights, value)) = row(output) else { continue };
            *to = value;
            let panel = &mut panels[output / PANEL * inputs * PANEL..];
            for (input, &weight) in weights.iter().enumerate() {
                panel[input * PANEL + output % PANEL] = weight;
            }
        }
        Ok(Self { inputs, outputs, panels, bias })
    }

    /// Floats of a row of x.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Floats of a row of y.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// y `[rows, outputs]` from x `[rows, inputs]`, both row-major.
    pub fn apply(&self, x: &[f32], y: &mut [f32], parallel: &dyn Parallel) {
        let rows = x.len() / self.inputs;
        let is_shared = parallel.threads() > 1 && is_worth(product([rows, self.inputs, self.outputs]));
        if rows <= BLOCK && is_shared {
            self.apply_columns(x, y, parallel);
            return;
        }
        let blocks = x.chunks(BLOCK * self.inputs).zip(y.chunks_mut(BLOCK * self.outputs));
        for_each(parallel, blocks.len(), blocks, |(x, y), _| self.apply_rows(x, y));
    }

    /// [`Linear::apply`] for at most [`BLOCK`] rows: threads share the columns, so that each reads a part of the weights.
    fn apply_columns(&self, x: &[f32], y: &mut [f32], parallel: &dyn Parallel) {
        let n_rows = x.len() / self.inputs;
        let step = Self::columns_together(n_rows);
        // Two tasks for each thread, in case one is slow.
        let columns = self.outputs.div_ceil(2 * parallel.threads()).next_multiple_of(step);
        let parts = Matrix::new(y, self.outputs).column_blocks(columns).enumerate();
        for_each(parallel, self.outputs.div_ceil(columns), parts, |(part, mut y), _| {
            for first in (0..y.columns()).step_by(step) {
                let (column, columns) = (part * columns + first, step.min(y.columns() - first));
                let mut sums = [0.0; BLOCK * 2 * PANEL];
                for sums in sums.chunks_exact_mut(step).take(n_rows) {
                    sums[..columns].copy_from_slice(&self.bias[column..][..columns]);
                }
                let mut tile = Tile { floats: &mut sums, stride: step, columns };
                self.product(x, n_rows, column / PANEL, &mut tile);
                for (row, sums) in sums.chunks_exact(step).take(n_rows).enumerate() {
                    y.row_mut(row)[first..first + columns].copy_from_slice(&sums[..columns]);
                }
            }
        });
    }

    /// Columns of one product. Two panels are a register tile of the widest vectors, and their sums stay in a first-level cache.
    /// A single row needs more columns for as many chains of sums.
    fn columns_together(rows: usize) -> usize {
        if rows == 1 { ONE_ROW } else { 2 * PANEL }
    }

    /// Like [`Linear::apply`], on the calling thread, for callers that fuse several steps over one block of rows.
    pub fn apply_rows(&self, x: &[f32], y: &mut [f32]) {
        let n_rows = x.len() / self.inputs;
        let step = Self::columns_together(n_rows);
        for first in (0..self.outputs).step_by(step) {
            let columns = step.min(self.outputs - first);
            for column in (first..first + columns).step_by(PANEL) {
                self.set_bias(y, self.outputs, column, PANEL.min(self.outputs - column), n_rows);
            }
            let mut tile = Tile { floats: &mut y[first..], stride: self.outputs, columns };
            self.product(x, n_rows, first / PANEL, &mut tile);
        }
    }

    /// Like [`Linear::apply`], but panel-major: y is `[⌈outputs / PANEL⌉, rows, PANEL]`, so that a channel group is
    /// contiguous. Columns beyond `outputs` are zero.
    pub fn apply_paneled(&self, x: &[f32], y: &mut [f32], parallel: &dyn Parallel) {
        let rows = x.len() / self.inputs;
        let panels = Matrix::new(y, rows * PANEL);
        let blocks = x.chunks(BLOCK * self.inputs).zip(panels.column_blocks(BLOCK * PANEL));
        for_each(parallel, blocks.len(), blocks, |(x, mut y), _| {
            for panel_idx in 0..y.rows() {
                self.apply_panel(x, panel_idx, y.row_mut(panel_idx));
            }
        });
    }

    /// Computes one panel of [`Linear::apply_paneled`], y `[rows, PANEL]`, on the calling thread.
    pub fn apply_panel(&self, x: &[f32], panel_idx: usize, y: &mut [f32]) {
        let n_rows = x.len() / self.inputs;
        self.set_bias(y, PANEL, panel_idx * PANEL, PANEL, n_rows);
        self.product(x, n_rows, panel_idx, &mut Tile { floats: y, stride: PANEL, columns: PANEL });
    }

    /// [`Linear::apply_panel`] for a single row, with several chains of sums for each output: y has at most [`PANEL`] outputs.
    pub fn apply_row_panel(&self, x: &[f32], panel_idx: usize, y: &mut [f32]) {
        y.copy_from_slice(&self.bias[panel_idx * PANEL..][..y.len()]);
        let stride = self.inputs * PANEL;
        add_panel(x, &self.panels[panel_idx * stride..][..stride], y);
    }

    fn set_bias(&self, y: &mut [f32], stride: usize, bias_start: usize, columns: usize, rows: usize) {
        let bias = &self.bias[bias_start..][..PANEL];
        let (low, high) = (F32x4::load(bias), F32x4::load(&bias[LANES..]));
        let start = if stride == PANEL { 0 } else { bias_start };
        for row in 0..rows {
            let to = &mut y[row * stride + start..][..columns];
            let (to_low, to_high) = to.split_at_mut(LANES.min(columns));
            low.store(to_low);
            high.store(to_high);
        }
    }

    /// The product for panels from `panel_idx` on, as many as `tile` has columns for.
    fn product(&self, x: &[f32], rows: usize, panel_idx: usize, tile: &mut Tile<'_>) {
        let stride = self.inputs * PANEL;
        let panels = &self.panels[panel_idx * stride..];
        multiply_panels(x, self.inputs, rows, self.inputs, panels, stride, Store::Add, tile);
    }
}

#[cfg(test)]
mod tests {
    use mixer::Serial;

    use super::*;
    use crate::testing::Threads;

    #[test]
    fn few_rows_give_equal_numbers_on_any_number_of_threads() {
        let memory = Memory::new(1 << 30);
        let (inputs, outputs) = (517, 803);
        let value = |i: usize| ((i * 37) % 101) as f32 / 50.0 - 1.0;
        let w: Vec<f32> = (0..outputs * inputs).map(value).collect();
        let b: Vec<f32> = (0..outputs).map(value).collect();
        let linear = Linear::new(&memory, inputs, outputs, &w, Some(&b)).unwrap();
        for rows in [1, 2, 7, BLOCK, BLOCK + 1] {
            let x: Vec<f32> = (0..rows * inputs).map(|i| value(i + 3)).collect();
            let run = |parallel: &dyn Parallel| {
                let mut y = vec![f32::NAN; rows * outputs];
                linear.apply(&x, &mut y, parallel);
                y
            };
            let want = run(&Serial);
            for threads in [2, 3, 8] {
                assert_eq!(run(&Threads(threads)), want, "{rows} rows, {threads} threads");
            }
            for (at, got) in want.iter().enumerate() {
                let (row, o) = (at / outputs, at % outputs);
                let products =
                    (0..inputs).map(|i| f64::from(x[row * inputs + i]) * f64::from(w[o * inputs + i]));
                let sum = f64::from(b[o]) + products.sum::<f64>();
                assert!((f64::from(*got) - sum).abs() < 1e-3, "{rows} rows: {got} {sum}");
            }
        }
    }

    #[test]
    fn both_layouts_agree_with_plain_loops() {
        let memory = Memory::new(1 << 20);
        for (rows, inputs, outputs) in
            [(1, 1, 1), (1, 33, 17), (1, 12, 20), (5, 3, 8), (50, 12, 20), (97, 33, 17)]
        {
            let x: Vec<f32> = (0..rows * inputs).map(|i| (i % 11) as f32 - 5.0).collect();
            let w: Vec<f32> = (0..outputs * inputs).map(|i| (i % 5) as f32 - 2.0).collect();
            let b: Vec<f32> = (0..outputs).map(|i| i as f32).collect();
            let linear = Linear::new(&memory, inputs, outputs, &w, Some(&b)).unwrap();
            let mut y = vec![f32::NAN; rows * outputs];
            linear.apply(&x, &mut y, &Serial);
            let mut paneled = vec![f32::NAN; rows * outputs.next_multiple_of(PANEL)];
            linear.apply_paneled(&x, &mut paneled, &Serial);
            let mut single = vec![f32::NAN; outputs];
            for (panel_idx, y) in single.chunks_mut(PANEL).enumerate() {
                linear.apply_row_panel(&x[..inputs], panel_idx, y);
            }
            assert_eq!(single, y[..outputs]);
            for row in 0..rows {
                for o in 0..outputs {
                    let want: f32 =
                        b[o] + (0..inputs).map(|i| x[row * inputs + i] * w[o * inputs + i]).sum::<f32>();
                    assert_eq!(y[row * outputs + o], want);
                    assert_eq!(paneled[(o / PANEL * rows + row) * PANEL + o % PANEL], want);
                }
            }
            assert!(paneled.iter().all(|value| value.is_finite()));
        }
    }
}
