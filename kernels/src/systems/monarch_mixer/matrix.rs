//! Single block-diagonal layers and Monarch matrices on the CPU: permutations around register-tiled block products.

use std::borrow::Cow;
use std::sync::Arc;

use mixer::{Case, Count, Memory, MixerError, Parallel};

use super::{BlockDiagonalSpec, MonarchSpec};
use crate::ops::block_diagonal::{BlockDiagonal, BlockShape};
use crate::ops::linear::BLOCK;
use crate::ops::parts::for_each;
use crate::ops::scratch::Scratch;
use crate::ready::{self, Ready};

/// One block-diagonal layer prepared for one case.
pub(super) struct BlockDiagonalKernel {
    spec: BlockDiagonalSpec,
    matrix: BlockDiagonal,
    scratch: Scratch,
}

impl BlockDiagonalKernel {
    pub(super) fn new(
        spec: BlockDiagonalSpec,
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let (weight, bias) = spec.params(&case.tensors)?;
        spec.input(&case.tensors)?;
        let scratch = if spec.shuffle { BLOCK * spec.shape.inputs } else { 0 };
        let kernel = Self {
            spec,
            matrix: BlockDiagonal::new(memory, spec.shape, weight, Some(bias))?,
            scratch: Scratch::new(memory, parallel.threads(), scratch)?,
        };
        let output = memory.floats(kernel.spec.rows * kernel.spec.shape.outputs)?;
        Ok(Ready::new(case, kernel, output))
    }
}

impl ready::Kernel for BlockDiagonalKernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let BlockShape { inputs, outputs, blocks } = self.spec.shape;
        let x = self.spec.input(&case.tensors)?;
        let parts = x.chunks(BLOCK * inputs).zip(output.chunks_mut(BLOCK * outputs));
        for_each(parallel, parts.len(), parts, |(x, y), worker| {
            if !self.spec.shuffle {
                return self.matrix.apply_rows(x, y);
            }
            let mut scratch = self.scratch.of(worker);
            let shuffled = &mut scratch[..x.len()];
            for (to, from) in shuffled.chunks_exact_mut(inputs).zip(x.chunks_exact(inputs)) {
                transpose(from, to, inputs / blocks, 1);
            }
            self.matrix.apply_rows(shuffled, y);
        });
        Ok(())
    }
}

/// `from` seen as `[rows, columns]` elements of `size` floats, transposed: element (r, c) goes to c · rows + r.
fn transpose(from: &[f32], to: &mut [f32], columns: usize, size: usize) {
    let rows = from.len() / (columns * size);
    for (index, element) in from.chunks_exact(size).enumerate() {
        let (row, column) = (index / columns, index % columns);
        to[(column * rows + row) * size..][..size].copy_from_slice(element);
    }
}

/// One Monarch matrix prepared for one case. Complex factors become real blocks of twice the width, with re and im
/// interleaved.
pub(super) struct MonarchKernel {
    spec: MonarchSpec,
    right: BlockDiagonal,
    left: BlockDiagonal,
    scratch: Scratch,
}

/// Vectors per task.
const VECTORS: usize = 12;

/// Scratch floats of one worker: permuted inputs, middle, permuted middle, outputs before their permutation.
fn scratch_floats(spec: &MonarchSpec) -> Count {
    let [inputs, middle, outputs] = Count::all([spec.inputs(), spec.middle(), spec.outputs()]);
    let [vectors, element] = Count::all([VECTORS, spec.floats()]);
    vectors * (inputs + element * (2 * middle + outputs))
}

/// Shapes of the right and the left factor as real matrices.
pub(super) fn shapes(spec: &MonarchSpec) -> (BlockShape, BlockShape) {
    let e = spec.floats();
    (
        BlockShape { inputs: spec.inputs(), outputs: e * spec.middle(), blocks: spec.right[0] },
        BlockShape { inputs: e * spec.middle(), outputs: e * spec.outputs(), blocks: spec.left[0] },
    )
}

/// Floats of the kernel without its output, with the scratch of one thread.
pub(super) fn held_floats(spec: &MonarchSpec) -> Count {
    let (right, left) = shapes(spec);
    BlockDiagonal::floats(right, false) + BlockDiagonal::floats(left, false) + scratch_floats(spec)
}

impl MonarchKernel {
    pub(super) fn new(
        spec: MonarchSpec,
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let (w1, w2) = spec.factors(&case.tensors)?;
        spec.input(&case.tensors)?;
        let (right, left) = shapes(&spec);
        let (w1, w2) = real_factors(&spec, (w1, w2));
        let right = BlockDiagonal::new(memory, right, &w1, None)?;
        let left = BlockDiagonal::new(memory, left, &w2, None)?;
        let kernel = Self {
            spec,
            right,
            left,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(&spec))?,
        };
        let output = memory.floats(kernel.spec.rows * kernel.spec.outputs() * kernel.spec.floats())?;
        Ok(Ready::new(case, kernel, output))
    }
}

/// Both factors as real matrices.
pub(super) fn real_factors<'a>(
    spec: &MonarchSpec,
    (w1, w2): (&'a [f32], &'a [f32]),
) -> (Cow<'a, [f32]>, Cow<'a, [f32]>) {
    if spec.complex {
        (complex_rows(w1, spec.right[2]).into(), complex_blocks(w2, spec.left[2]).into())
    } else {
        (w1.into(), w2.into())
    }
}

/// Rows of `inputs` complex weights for a real input: a row of real parts, then a row of imaginary parts.
fn complex_rows(w: &[f32], inputs: usize) -> Vec<f32> {
    w.chunks_exact(2 * inputs)
        .flat_map(|row| (0..2).flat_map(|part| row.iter().skip(part).step_by(2).copied()))
        .collect()
}

/// Rows of `inputs` complex weights for interleaved complex inputs: (re, −im, …) then (im, re, …).
fn complex_blocks(w: &[f32], inputs: usize) -> Vec<f32> {
    w.chunks_exact(2 * inputs)
        .flat_map(|row| {
            let re = row.chunks_exact(2).flat_map(|w| [w[0], -w[1]]);
            let im = row.chunks_exact(2).flat_map(|w| [w[1], w[0]]);
            re.chain(im)
        })
        .collect()
}

impl ready::Kernel for MonarchKernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let spec = &self.spec;
        let x = spec.input(&case.tensors)?;
        let (n, e) = (spec.inputs(), spec.floats());
        let (middle, outputs) = (e * spec.middle(), e * spec.outputs());
        let blocks = x.chunks(VECTORS * n).zip(output.chunks_mut(VECTORS * outputs));
        for_each(parallel, blocks.len(), blocks, |(x, y), worker| {
            let rows = x.len() / n;
            let mut scratch = self.scratch.of(worker);
            let (input, rest) = scratch.split_at_mut(VECTORS * n);
            let (mid, rest) = rest.split_at_mut(VECTORS * middle);
            let (z, product) = rest.split_at_mut(VECTORS * middle);
            let (mid, z) = (&mut mid[..rows * middle], &mut z[..rows * middle]);
            let product = &mut product[..rows * outputs];
            if spec.permute {
                for (to, from) in input.chunks_exact_mut(n).zip(x.chunks_exact(n)) {
                    transpose(from, to, spec.right[0], 1);
                }
                self.right.apply_rows(&input[..rows * n], mid);
            } else {
                self.right.apply_rows(x, mid);
            }
            for (to, from) in z.chunks_exact_mut(middle).zip(mid.chunks_exact(middle)) {
                transpose(from, to, spec.left[0], e);
            }
            self.left.apply_rows(z, product);
            for (to, from) in y.chunks_exact_mut(outputs).zip(product.chunks_exact(outputs)) {
                transpose(from, to, spec.left[1], e);
            }
        });
        Ok(())
    }
}
