//! y = W x for one vector, the main work of a recurrent step. Sixteen outputs are accumulated at once, so that their
//! chains of additions overlap.

use mixer::{Count, Floats, Memory, MixerError};

use super::simd::{LANES, Lanes, Work, run_widest};

/// Outputs per packed panel: four vectors.
pub const OUTPUTS: usize = 4 * LANES;

/// Weights packed for [`MatVec::add`].
#[derive(Debug)]
pub struct MatVec {
    inputs: usize,
    /// `⌈outputs / OUTPUTS⌉` panels of `[inputs, OUTPUTS]`, zero-padded.
    panels: Floats,
}

impl MatVec {
    /// Floats that [`MatVec::new`] takes from the memory budget.
    pub fn floats(inputs: usize, outputs: usize) -> Count {
        Count::from(inputs) * Count::from(Self::padded(outputs))
    }

    /// Length of a result buffer: the outputs rounded up to whole panels.
    pub fn padded(outputs: usize) -> usize {
        outputs.next_multiple_of(OUTPUTS)
    }

    /// Packs `outputs` rows of `inputs` weights, given by `weight(output, input)`.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(
        memory: &Memory,
        inputs: usize,
        outputs: usize,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Result<Self, MixerError> {
        let mut panels = memory.floats(Self::floats(inputs, outputs))?;
        for output in 0..outputs {
            let panel = &mut panels[output / OUTPUTS * inputs * OUTPUTS..];
            for input in 0..inputs {
                panel[input * OUTPUTS + output % OUTPUTS] = weight(output, input);
            }
        }
        Ok(Self { inputs, panels })
    }

    /// Number of outputs, padding included.
    pub fn outputs(&self) -> usize {
        self.panels.len() / self.inputs.max(1)
    }

    /// Number of weights, padding included.
    pub fn weights(&self) -> usize {
        self.panels.len()
    }

    /// `y += W x`; `y` has the padded length.
    #[inline]
    pub fn add(&self, x: &[f32], y: &mut [f32]) {
        for (panel, y) in y.as_chunks_mut::<OUTPUTS>().0.iter_mut().enumerate() {
            self.add_panel(panel, x, y);
        }
    }

    /// The outputs `panel · OUTPUTS ..` of [`MatVec::add`].
    #[inline]
    pub fn add_panel(&self, panel: usize, x: &[f32], y: &mut [f32; OUTPUTS]) {
        let floats = self.inputs * OUTPUTS;
        let (rows, _) = self.panels[panel * floats..][..floats].as_chunks::<OUTPUTS>();
        run_widest(Panel { rows, x, y });
    }
}

/// Sums of one panel.
struct Panel<'a> {
    rows: &'a [[f32; OUTPUTS]],
    x: &'a [f32],
    y: &'a mut [f32; OUTPUTS],
}

impl Work for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        // Eight chains of sums in both cases, enough to hide the latency of a multiply-add.
        if V::LANES == OUTPUTS / 2 { self.add::<V, 2, 4>() } else { self.add::<V, 4, 2>() }
    }
}

impl Panel<'_> {
    /// Adds to `VECTORS` vectors of outputs, `ROWS` inputs at a time.
    #[inline(always)]
    fn add<V: Lanes, const VECTORS: usize, const ROWS: usize>(self) {
        let Self { rows, x, y } = self;
        let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
        sums[0] = std::array::from_fn(|index| V::load(&y[index * V::LANES..]));
        let (blocks, rest) = rows.as_chunks::<ROWS>();
        let (values, last) = x[..rows.len()].as_chunks::<ROWS>();
        for (block, values) in blocks.iter().zip(values) {
            for ((row, value), sums) in block.iter().zip(values).zip(&mut sums) {
                let value = V::splat(*value);
                for (index, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.mul_add(value, V::load(&row[index * V::LANES..]));
                }
            }
        }
        for (row, value) in rest.iter().zip(last) {
            let value = V::splat(*value);
            for (index, sum) in sums[0].iter_mut().enumerate() {
                *sum = sum.mul_add(value, V::load(&row[index * V::LANES..]));
            }
        }
        for index in 0..VECTORS {
            let sum = sums[1..].iter().fold(sums[0][index], |sum, more| sum + more[index]);
            sum.store(&mut y[index * V::LANES..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_plain_loops() {
        let memory = Memory::new(1 << 20);
        for (inputs, outputs) in [(1, 1), (3, 16), (17, 33), (0, 5)] {
            let weight = |output: usize, input: usize| ((output * 7 + input * 3) % 11) as f32 - 5.0;
            let matvec = MatVec::new(&memory, inputs, outputs, weight).unwrap();
            let x: Vec<f32> = (0..inputs).map(|input| input as f32 - 2.0).collect();
            let mut y = vec![0.5; MatVec::padded(outputs)];
            matvec.add(&x, &mut y);
            for (output, &got) in y.iter().enumerate() {
                let sum: f32 = (0..inputs).map(|input| weight(output, input) * x[input]).sum();
                assert_eq!(
                    got,
                    if output < outputs { 0.5 + sum } else { 0.5 },
                    "{inputs}×{outputs} at {output}"
                );
            }
        }
    }
}
