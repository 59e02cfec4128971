//! The block-diagonal linear layer (Monarch Mixer's `BlockdiagLinear`): block β maps its own inputs to its own outputs.

use mixer::{Count, Floats, Memory, MixerError};

use super::gemm::{PANEL, Store, Tile, multiply};

/// Sizes. `inputs` and `outputs` need not be multiples of `blocks`; the last blocks are then shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockShape {
    /// Inputs of the whole layer.
    pub inputs: usize,
    /// Outputs of the whole layer.
    pub outputs: usize,
    /// Blocks.
    pub blocks: usize,
}

impl BlockShape {
    /// Inputs of one block, p = ⌈inputs / blocks⌉.
    pub fn block_inputs(self) -> usize {
        self.inputs.div_ceil(self.blocks)
    }

    /// Outputs of one block, q = ⌈outputs / blocks⌉.
    pub fn block_outputs(self) -> usize {
        self.outputs.div_ceil(self.blocks)
    }

    /// Operations of one row; padded blocks count in full.
    pub fn flops(self) -> Count {
        let [blocks, inputs, outputs] = Count::all([self.blocks, self.block_inputs(), self.block_outputs()]);
        2 * blocks * inputs * outputs
    }

    /// Start and length of block `block` within `size`, at `each` elements per block.
    fn part(size: usize, each: usize, block: usize) -> (usize, usize) {
        let start = (block * each).min(size);
        (start, each.min(size - start))
    }
}

/// Weights packed for the microkernel.
#[derive(Debug)]
pub struct BlockDiagonal {
    shape: BlockShape,
    /// For each block ⌈q / PANEL⌉ panels of `[p, PANEL]`.
    panels: Floats,
    bias: Option<Floats>,
}

impl BlockDiagonal {
    /// Floats that [`BlockDiagonal::new`] takes from the memory budget.
    pub fn floats(shape: BlockShape, bias: bool) -> Count {
        let padded_outputs = shape.block_outputs().next_multiple_of(PANEL);
        let [blocks, inputs, outputs] = Count::all([shape.blocks, shape.block_inputs(), padded_outputs]);
        blocks * inputs * outputs + Count::from(if bias { shape.outputs } else { 0 })
    }

    /// Packs `weight`, `[blocks, q, p]`, and `bias`, `[outputs]`.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(
        memory: &Memory,
        shape: BlockShape,
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<Self, MixerError> {
        let (p, q) = (shape.block_inputs(), shape.block_outputs());
        let mut panels = memory.floats(Self::floats(shape, false))?;
        let per_block = p * q.next_multiple_of(PANEL);
        for (weight, panels) in weight.chunks_exact(q * p).zip(panels.chunks_exact_mut(per_block)) {
            for (output, row) in weight.chunks_exact(p).enumerate() {
                let panel = &mut panels[output / PANEL * p * PANEL + output % PANEL..];
                panel.iter_mut().step_by(PANEL).zip(row).for_each(|(to, from)| *to = *from);
            }
        }
        let bias = match bias {
            Some(bias) => {
                let mut floats = memory.floats(shape.outputs)?;
                floats.copy_from_slice(bias);
                Some(floats)
            }
            None => None,
        };
        Ok(Self { shape, panels, bias })
    }

    /// Sizes.
    pub fn shape(&self) -> BlockShape {
        self.shape
    }

    /// y `[rows, outputs]` from x `[rows, inputs]`, both row-major, on the calling thread.
    pub fn apply_rows(&self, x: &[f32], y: &mut [f32]) {
        let BlockShape { inputs, outputs, blocks } = self.shape;
        let (p, q) = (self.shape.block_inputs(), self.shape.block_outputs());
        let rows = x.len() / inputs;
        let store = if let Some(bias) = &self.bias {
            y.chunks_exact_mut(outputs).for_each(|row| row.copy_from_slice(bias));
            Store::Add
        } else {
            Store::Set
        };
        let per_block = p * q.next_multiple_of(PANEL);
        for block in 0..blocks {
            let (first_in, depth) = BlockShape::part(inputs, p, block);
            let (first_out, wanted) = BlockShape::part(outputs, q, block);
            for panel in 0..wanted.div_ceil(PANEL) {
                let column = first_out + panel * PANEL;
                let mut tile = Tile {
                    floats: &mut y[column..],
                    stride: outputs,
                    columns: PANEL.min(first_out + wanted - column),
                };
                let weights = &self.panels[block * per_block + panel * p * PANEL..][..p * PANEL];
                multiply(&x[first_in.min(x.len())..], inputs, rows, depth, weights, store, &mut tile);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_plain_loops_where_blocks_do_not_fit() {
        let memory = Memory::new(1 << 20);
        for (rows, inputs, outputs, blocks) in
            [(1, 1, 1, 1), (7, 8, 24, 2), (13, 50, 70, 4), (5, 5, 9, 4), (50, 36, 20, 3)]
        {
            let shape = BlockShape { inputs, outputs, blocks };
            let (p, q) = (shape.block_inputs(), shape.block_outputs());
            let weight: Vec<f32> = (0..blocks * p * q).map(|i| (i % 9) as f32 - 4.0).collect();
            let bias: Vec<f32> = (0..outputs).map(|i| i as f32).collect();
            let x: Vec<f32> = (0..rows * inputs).map(|i| (i % 7) as f32 - 3.0).collect();
            for bias in [None, Some(bias.as_slice())] {
                let used = memory.used_bytes();
                let layer = BlockDiagonal::new(&memory, shape, &weight, bias).unwrap();
                let floats = BlockDiagonal::floats(shape, bias.is_some()).get();
                assert_eq!(memory.used_bytes() - used, 4 * floats);
                let mut y = vec![f32::NAN; rows * outputs];
                layer.apply_rows(&x, &mut y);
                for row in 0..rows {
                    for o in 0..outputs {
                        let block = o / q;
                        let sum: f32 = (0..p)
                            .filter(|i| block * p + i < inputs)
                            .map(|i| weight[o * p + i] * x[row * inputs + block * p + i])
                            .sum();
                        assert_eq!(y[row * outputs + o], sum + bias.map_or(0.0, |bias| bias[o]));
                    }
                }
            }
        }
    }
}
