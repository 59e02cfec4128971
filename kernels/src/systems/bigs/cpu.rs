//! BiGS on the CPU. Blocks of rows are normalised and projected into channel groups. A few groups at a time go through
//! the transform of their direction in place. Then blocks of rows go from both directions to the output within the
//! cache.

use std::sync::Arc;

use mixer::{Case, Count, Floats, Level, Memory, MixerError, Parallel};

use super::ssm::Direction;
use super::{Affine, Gelu, Linears, Spec};
use crate::ops::activation::{self, GeluTanh, Product, Sum, map, map2};
use crate::ops::fft::{Fft, Row};
use crate::ops::gemm::PANEL;
use crate::ops::linear::{BLOCK, Linear};
use crate::ops::long_conv::{GROUP, fft_size};
use crate::ops::norm::layer_norm;
use crate::ops::panels::{self, Shares, TOGETHER};
use crate::ops::parts::{Matrix, for_each};
use crate::ops::scratch::Scratch;
use crate::ops::shared_conv::SharedFilter;
use crate::ops::stream::Stream;
use crate::ready::{self, Ready};

// A panel of the projection is exactly a channel group of the convolution.
const _: () = assert!(PANEL == GROUP);

/// Scratch floats of one worker: the packed transforms of a task, or a block of rows between merge and output.
pub(super) fn scratch_floats(spec: &Spec) -> Count {
    let [block, width, inner] = Count::all([BLOCK, spec.dims.d_model, spec.intermediate]);
    let tail = match spec.level {
        Level::Core => Count::ZERO,
        Level::Layer => block * (4 * width + 2 * inner),
    };
    tail.max(Count::from(TOGETHER) * Fft::group_floats(fft_size(spec.dims.seq_len)))
}

/// Weights and buffers that only a layer has.
struct Layer {
    value: Linear,
    /// Projections before the model of each direction.
    project: [Linear; 2],
    /// Projections after the models.
    merge: [Linear; 2],
    widen: Linear,
    out: Linear,
    /// u, later s, of each direction: `[groups, batch · length, GROUP]`.
    streams: [Floats; 2],
}

/// BiGS prepared for one case.
pub(super) struct Kernel {
    spec: Spec,
    fft: Fft,
    filters: [SharedFilter; 2],
    layer: Option<Layer>,
    scratch: Scratch,
}

impl Kernel {
    pub(super) fn new(
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let spec = Spec::read(case)?;
        let input = spec.input(&case.tensors)?;
        let fft = Fft::new(memory, fft_size(spec.dims.seq_len))?;
        let filter = |direction| filter(&spec, case, direction, &fft, memory);
        let filters = [filter(Direction::Forward)?, filter(Direction::Backward)?];
        let layer = match spec.level {
            Level::Core => None,
            Level::Layer => {
                spec.norm(&case.tensors)?;
                Some(Layer::new(&spec, case, memory)?)
            }
        };
        let kernel = Self {
            spec,
            fft,
            filters,
            layer,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(&spec))?,
        };
        let output = memory.floats(input.len())?;
        Ok(Ready::new(case, kernel, output))
    }
}

/// The spectrum of one direction's kernel, with the skip in its first tap. The backward kernel has negative lags.
fn filter(
    spec: &Spec,
    case: &Case,
    direction: Direction,
    fft: &Fft,
    memory: &Memory,
) -> Result<SharedFilter, MixerError> {
    let ssm = spec.ssm(&case.tensors, direction)?;
    let mut kernel = memory.floats(spec.dims.seq_len)?;
    ssm.for_each_tap(spec.dims.seq_len, |l, value| {
        kernel[l] = if l == 0 { value + ssm.skip } else { value } as f32;
    });
    SharedFilter::new(memory, fft, |position| {
        let lag = match direction {
            Direction::Forward => position,
            Direction::Backward => (fft.size() - position) % fft.size(),
        };
        kernel.get(lag).copied().unwrap_or_default()
    })
}

impl Layer {
    fn new(spec: &Spec, case: &Case, memory: &Memory) -> Result<Self, MixerError> {
        let linear = |which: Linears| {
            let (weight, bias) = spec.linear(&case.tensors, which)?;
            let (inputs, outputs) = which.sizes(spec);
            Linear::new(memory, inputs, outputs, weight, Some(bias))
        };
        let stream = || memory.floats(panels::floats(spec.rows(), spec.dims.d_model));
        Ok(Self {
            value: linear(Linears::Value)?,
            project: [linear(Linears::Forward)?, linear(Linears::Backward)?],
            merge: [linear(Linears::MergeForward)?, linear(Linears::MergeBackward)?],
            widen: linear(Linears::Widen)?,
            out: linear(Linears::Out)?,
            streams: [stream()?, stream()?],
        })
    }
}

/// Applies the configured GELU in place.
fn activate(which: Gelu, values: &mut [f32]) {
    match which {
        Gelu::Erf => map(values, activation::Gelu),
        Gelu::Tanh => map(values, GeluTanh),
    }
}

/// Copies rows, and normalises them if the layer normalises its input.
fn prepare(spec: &Spec, norm: Affine<'_>, x: &[f32], to: &mut [f32]) {
    to.copy_from_slice(x);
    if spec.pre_norm {
        for row in to.chunks_exact_mut(spec.dims.d_model) {
            layer_norm(row, norm.0, norm.1, spec.eps as f32);
        }
    }
}

impl Kernel {
    fn run_core(
        &mut self,
        case: &Case,
        output: &mut [f32],
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let (width, length) = (self.spec.dims.d_model, self.spec.dims.seq_len);
        let x = self.spec.input(&case.tensors)?;
        // The two directions of a sequence are treated as two sequences.
        let shares = Shares::new(2 * self.spec.dims.batch, width, parallel.threads());
        let stride = 2 * width;
        let parts = Matrix::new(output, stride)
            .row_blocks(length)
            .flat_map(|sequence| sequence.column_blocks(width))
            .flat_map(|direction| shares.of_columns(direction));
        shares.for_each(parallel, parts, |stream, groups, out, worker| {
            let (sequence, direction) = (stream / 2, stream % 2);
            let from = |i: usize, t: usize, rows: &mut [Row]| {
                let first = &x[sequence * length * stride + direction * width..];
                Stream::of_rows(first, stride, width, groups.start + i).read(t, rows);
            };
            let to = |i: usize, t: usize, rows: &mut [Row]| out.write(i, t, rows);
            let mut scratch = self.scratch.of(worker);
            self.filters[direction].convolve(&self.fft, groups.len(), length, &from, &to, &mut scratch);
        });
        Ok(())
    }
}

/// Projects every row for both directions into channel groups.
fn project(
    spec: &Spec,
    layer: &mut Layer,
    scratch: &Scratch,
    case: &Case,
    parallel: &dyn Parallel,
) -> Result<(), MixerError> {
    let (width, rows) = (spec.dims.d_model, spec.rows());
    let (x, norm) = (spec.input(&case.tensors)?, spec.norm(&case.tensors)?);
    let [forward, backward] = &mut layer.streams;
    let blocks = |stream| Matrix::new(stream, rows * PANEL).column_blocks(BLOCK * PANEL);
    let parts = x.chunks(BLOCK * width).zip(blocks(forward).zip(blocks(backward)));
    for_each(parallel, rows.div_ceil(BLOCK), parts, |(x, (forward, backward)), worker| {
        let mut scratch = scratch.of(worker);
        let prepared = &mut scratch[..x.len()];
        prepare(spec, norm, x, prepared);
        for (linear, mut stream) in layer.project.iter().zip([forward, backward]) {
            for panel in 0..stream.rows() {
                let to = stream.row_mut(panel);
                linear.apply_panel(prepared, panel, to);
                activate(spec.gelu, to);
            }
        }
    });
    Ok(())
}

impl Kernel {
    /// Applies both models in place.
    fn mix(&mut self, parallel: &dyn Parallel) {
        let Some(layer) = &mut self.layer else { return };
        let (length, rows) = (self.spec.dims.seq_len, self.spec.rows());
        let [forward, backward] = &mut layer.streams;
        let shares = Shares::new(2 * self.spec.dims.batch, self.spec.dims.d_model, parallel.threads());
        let sequences = |stream| Matrix::new(stream, rows * GROUP).column_blocks(length * GROUP);
        let directions =
            sequences(forward).zip(sequences(backward)).flat_map(|(forward, backward)| [forward, backward]);
        let parts = directions.flat_map(|direction| shares.of_sequence(direction));
        shares.for_each(parallel, parts, |stream, groups, panels, worker| {
            let direction = stream % 2;
            let from =
                |i: usize, t: usize, rows: &mut [Row]| panels.with_panel(i, |panel| panel.read(t, rows));
            let to = |i: usize, t: usize, rows: &mut [Row]| panels.write(i, t, rows);
            let mut scratch = self.scratch.of(worker);
            self.filters[direction].convolve(&self.fft, groups.len(), length, &from, &to, &mut scratch);
        });
    }

    /// Computes the layer's output from the outputs of both models.
    fn finish(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let spec = &self.spec;
        let Some(layer) = &self.layer else { return Ok(()) };
        let (width, inner, rows) = (spec.dims.d_model, spec.intermediate, spec.rows());
        let (x, norm) = (spec.input(&case.tensors)?, spec.norm(&case.tensors)?);
        let blocks = x.chunks(BLOCK * width).zip(output.chunks_mut(BLOCK * width)).enumerate();
        for_each(parallel, blocks.len(), blocks, |(block, (x, y)), worker| {
            let (first, len) = (block * BLOCK, x.len());
            let n_rows = len / width;
            let mut scratch = self.scratch.of(worker);
            let (s, rest) = scratch.split_at_mut(BLOCK * width);
            let (merged, rest) = rest.split_at_mut(BLOCK * width);
            let (other, rest) = rest.split_at_mut(BLOCK * width);
            let (prepared, rest) = rest.split_at_mut(BLOCK * width);
            let (gated, value) = rest.split_at_mut(BLOCK * inner);
            let (s, merged, other) = (&mut s[..len], &mut merged[..len], &mut other[..len]);
            let (gated, value) = (&mut gated[..n_rows * inner], &mut value[..n_rows * inner]);
            panels::gather(&layer.streams[0], rows, first, width, s);
            layer.merge[0].apply_rows(s, merged);
            panels::gather(&layer.streams[1], rows, first, width, s);
            layer.merge[1].apply_rows(s, other);
            map2(merged, other, Product);
            layer.widen.apply_rows(merged, gated);
            prepare(spec, norm, x, &mut prepared[..len]);
            layer.value.apply_rows(&prepared[..len], value);
            activate(spec.gelu, gated);
            activate(spec.gelu, value);
            map2(gated, value, Product);
            layer.out.apply_rows(gated, y);
            map2(y, x, Sum);
            if !spec.pre_norm {
                for row in y.chunks_exact_mut(width) {
                    layer_norm(row, norm.0, norm.1, spec.eps as f32);
                }
            }
        });
        Ok(())
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let Some(layer) = &mut self.layer else { return self.run_core(case, output, parallel) };
        project(&self.spec, layer, &self.scratch, case, parallel)?;
        self.mix(parallel);
        self.finish(case, output, parallel)
    }
}
