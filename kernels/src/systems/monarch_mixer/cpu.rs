//! The sequence mixer on the CPU. A task processes a few groups of eight channels of one sequence from the projected
//! streams to the gated output, which replaces the first stream. Then blocks of rows go through the output projection
//! and, in a whole block, the MLP.

use std::ops::Range;
use std::sync::Arc;

use mixer::{Case, Count, Floats, Memory, MixerError, Parallel};

use super::filter::{Direction, Filters};
use super::mlp::{self, Mlp};
use super::{NORM_EPS, SequenceSpec, TAPS};
use crate::ops::fft::{Fft, Row};
use crate::ops::gemm::PANEL;
use crate::ops::linear::{BLOCK, Linear};
use crate::ops::long_conv::{FilterBank, GROUP, circular_lag, fft_size};
use crate::ops::norm::layer_norm;
use crate::ops::panels::{self, Shares, TOGETHER, of_each};
use crate::ops::parts::for_each;
use crate::ops::scratch::Scratch;
use crate::ops::stream::{Groups, Stream};
use crate::ready::{self, Ready};

// A panel of the projection is exactly a channel group of the convolution.
const _: () = assert!(PANEL == GROUP);

/// Floats of one stream's packed short filter.
pub(super) fn short_floats(width: usize) -> usize {
    width.next_multiple_of(GROUP) * (TAPS + 1)
}

/// Scratch floats of one worker: the packed transforms of a task, or a block of rows in the output projection.
pub(super) fn scratch_floats(spec: &SequenceSpec) -> Count {
    let rows = Count::from(BLOCK) * Count::from(spec.dims.d_model);
    let tail = match (&spec.layer, &spec.mlp) {
        (None, _) => Count::ZERO,
        (Some(_), None) => rows,
        (Some(_), Some(mlp_spec)) => 2 * rows + mlp::scratch_floats(mlp_spec),
    };
    tail.max(Count::from(TOGETHER) * Fft::group_floats(fft_size(spec.dims.seq_len)))
}

/// Weights and buffers that only a layer has.
struct Layer {
    /// Projections of the streams x₁, x₂, v.
    in_linear: Vec<Linear>,
    /// For each stream `[groups, taps + 1, GROUP]`: taps, then the bias.
    short: Vec<Floats>,
    /// For each stream `[groups, batch · length, GROUP]`; the core's output replaces x₁.
    projected: Vec<Floats>,
    /// The normalised input, if the layer normalises it.
    normalized: Option<Floats>,
    out_linear: Linear,
    mlp: Option<Mlp>,
}

/// The sequence mixer prepared for one case.
pub(super) struct Kernel {
    spec: SequenceSpec,
    fft: Fft,
    /// Filter bank of each convolution.
    banks: Vec<FilterBank>,
    layer: Option<Layer>,
    scratch: Scratch,
}

impl Kernel {
    pub(super) fn new(
        spec: SequenceSpec,
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let fft = Fft::new(memory, fft_size(spec.dims.seq_len))?;
        let banks = (0..spec.convolutions())
            .map(|convolution| bank(&spec, case, convolution, &fft, memory, parallel))
            .collect::<Result<_, _>>()?;
        let layer = if spec.layer.is_some() {
            spec.input(&case.tensors)?;
            Some(Layer::new(&spec, case, memory)?)
        } else {
            spec.streams(&case.tensors)?;
            spec.core_input(&case.tensors)?;
            None
        };
        let kernel = Self {
            spec,
            fft,
            banks,
            layer,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(&spec))?,
        };
        let output = memory.floats(kernel.spec.rows() * kernel.spec.dims.d_model)?;
        Ok(Ready::new(case, kernel, output))
    }
}

impl Layer {
    fn new(spec: &SequenceSpec, case: &Case, memory: &Memory) -> Result<Self, MixerError> {
        let (width, rows) = (spec.dims.d_model, spec.rows());
        let (weight, bias) = spec.projection(&case.tensors, "in_linear")?;
        let (taps, tap_bias) = spec.short_filter(&case.tensors)?;
        let (mut in_linear, mut short, mut projected) = (Vec::new(), Vec::new(), Vec::new());
        for stream in 0..3 {
            let channels = stream * width..(stream + 1) * width;
            let weight = &weight[channels.start * width..channels.end * width];
            in_linear.push(Linear::new(memory, width, width, weight, Some(&bias[channels.clone()]))?);
            let mut packed = memory.floats(short_floats(width))?;
            for (channel, source) in channels.enumerate() {
                let group = &mut packed[channel / GROUP * GROUP * (TAPS + 1) + channel % GROUP..];
                let values = taps[source * TAPS..][..TAPS].iter().chain(&tap_bias[source..=source]);
                group.iter_mut().step_by(GROUP).zip(values).for_each(|(to, from)| *to = *from);
            }
            short.push(packed);
            projected.push(memory.floats(panels::floats(rows, width))?);
        }
        let normalized = match spec.norm(&case.tensors)? {
            Some(_) => Some(memory.floats(rows * width)?),
            None => None,
        };
        let (weight, bias) = spec.projection(&case.tensors, "out_linear")?;
        let out_linear = Linear::new(memory, width, width, weight, Some(bias))?;
        let mlp = match spec.mlp {
            Some(mlp_spec) => {
                Some(Mlp::new(mlp_spec, &mlp_spec.params(&case.tensors, "param.mlp")?, memory)?)
            }
            None => None,
        };
        Ok(Self { in_linear, short, projected, normalized, out_linear, mlp })
    }

    /// Computes the streams.
    fn project(
        &mut self,
        spec: &SequenceSpec,
        case: &Case,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let (width, x) = (spec.dims.d_model, spec.input(&case.tensors)?);
        let u = match (&mut self.normalized, spec.norm(&case.tensors)?) {
            (Some(normalized), Some((weight, bias))) => {
                let blocks = x.chunks(BLOCK * width).zip(normalized.chunks_mut(BLOCK * width));
                for_each(parallel, blocks.len(), blocks, |(x, rows), _| {
                    rows.copy_from_slice(x);
                    for row in rows.chunks_exact_mut(width) {
                        layer_norm(row, weight, bias, NORM_EPS as f32);
                    }
                });
                &*normalized
            }
            _ => x,
        };
        for (linear, projected) in self.in_linear.iter().zip(&mut self.projected) {
            linear.apply_paneled(u, projected, parallel);
        }
        Ok(())
    }
}

/// Spectra of one convolution's filters. The skip is added to the first tap.
fn bank(
    spec: &SequenceSpec,
    case: &Case,
    convolution: usize,
    fft: &Fft,
    memory: &Memory,
    parallel: &dyn Parallel,
) -> Result<FilterBank, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let build = |skip: &[f32], tap: &dyn Fn(usize, Result<usize, usize>) -> f32| {
        FilterBank::new(memory, fft, width.div_ceil(GROUP), fft.size(), |group, lane, position| {
            let channel = group * GROUP + lane;
            match circular_lag(position, fft.size(), length) {
                Some(lag) if channel < width => {
                    tap(channel, lag) + if lag == Ok(0) { skip[channel] } else { 0.0 }
                }
                _ => 0.0,
            }
        })
    };
    match &spec.layer {
        None => {
            let filters = spec.core_filters(&case.tensors, convolution)?;
            build(filters.skip, &|channel, lag| match (lag, filters.reverse) {
                (Ok(s), _) => filters.forward[channel * length + s],
                (Err(s), Some(reverse)) => reverse[channel * length + s - 1],
                (Err(_), None) => 0.0,
            })
        }
        Some(layer) => {
            let set = spec.filter_sets()[convolution];
            let filters = Filters::new(&layer.filter, &case.tensors, set, spec.bidirectional)?;
            let mut forward = memory.floats(length * width)?;
            let mut reverse = memory.floats(if spec.bidirectional { length * width } else { 0 })?;
            filters.evaluate(Direction::Forward, &mut forward, parallel);
            filters.evaluate(Direction::Reverse, &mut reverse, parallel);
            build(filters.skip, &|channel, lag| match lag {
                Ok(s) => forward[s * width + channel],
                Err(s) if spec.bidirectional => reverse[(s - 1) * width + channel],
                Err(_) => 0.0,
            })
        }
    }
}

/// Values that all tasks of the core share.
struct Core<'a> {
    spec: SequenceSpec,
    fft: &'a Fft,
    banks: &'a [FilterBank],
}

/// One stream of each of a task's groups.
type Streams<'a> = [Stream<'a>; TOGETHER];

impl Core<'_> {
    /// Writes x₂ times the convolution of v ⊙ x₁, plus the residual convolution, to `to`. `x1(i, t, rows)` fills rows
    /// of the i-th group; it is called before anything is written.
    fn mix(
        &self,
        groups: Range<usize>,
        x1: &dyn Fn(usize, usize, &mut [Row]),
        [x2, v]: [Streams<'_>; 2],
        u: Option<Streams<'_>>,
        work: &mut [f32],
        to: &Groups<'_>,
    ) {
        let Some((first, residual)) = self.banks.split_first() else { return };
        let length = self.spec.dims.seq_len;
        let signal = |i: usize, t: usize, rows: &mut [Row]| {
            x1(i, t, rows);
            v[i].gate(t, rows);
        };
        let gate = |i: usize, t: usize, rows: &mut [Row]| {
            x2[i].gate(t, rows);
            to.write(i, t, rows);
        };
        first.convolve(self.fft, groups.clone(), length, &signal, &gate, work);
        if let (Some(u), [residual, ..]) = (u, residual) {
            let add = |i: usize, t: usize, rows: &mut [Row]| to.add(i, t, rows);
            residual.convolve(self.fft, groups, length, &|i, t, rows| u[i].read(t, rows), &add, work);
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
        let spec = self.spec;
        let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
        let core = Core { spec, fft: &self.fft, banks: &self.banks };
        let x = spec.streams(&case.tensors)?;
        let u = spec.core_input(&case.tensors)?;
        let shares = Shares::new(spec.dims.batch, width, parallel.threads());
        let parts = shares.of_rows(output, length, width);
        shares.for_each(parallel, parts, |sequence, groups, out, worker| {
            let stream = |floats, first: usize, stride: usize| -> Streams<'_> {
                let floats: &[f32] = floats;
                of_each(&groups, |group| Stream::of_rows(&floats[first..], stride, width, group))
            };
            let part = |index: usize| stream(x, (sequence * length * 3 + index) * width, 3 * width);
            let u = u.map(|u| stream(u, sequence * length * width, width));
            let (x1, x2, v) = (part(0), part(1), part(2));
            let mut scratch = self.scratch.of(worker);
            core.mix(groups.clone(), &|i, t, rows| x1[i].read(t, rows), [x2, v], u, &mut scratch, &out);
        });
        Ok(())
    }

    /// Convolutions and gates of a layer, in place in the projected streams.
    fn mix(&mut self, case: &Case, parallel: &dyn Parallel) -> Result<(), MixerError> {
        let spec = self.spec;
        let (width, length, rows) = (spec.dims.d_model, spec.dims.seq_len, spec.rows());
        let Some(layer) = &mut self.layer else { return Ok(()) };
        let core = Core { spec, fft: &self.fft, banks: &self.banks };
        let u = match &layer.normalized {
            Some(normalized) => normalized,
            None => spec.input(&case.tensors)?,
        };
        let taps = GROUP * (TAPS + 1);
        let (first, others) = layer.projected.split_at_mut(1);
        let Some(first) = first.first_mut() else { return Ok(()) };
        let shares = Shares::new(spec.dims.batch, width, parallel.threads());
        let parts = shares.of_panels(first, length, rows);
        shares.for_each(parallel, parts, |sequence, groups, x1, worker| {
            let panel = |group: usize| (group * rows + sequence * length) * GROUP;
            let short = |index: usize, group: usize| &layer.short[index][group * taps..][..taps];
            let first = |i: usize, t: usize, rows: &mut [Row]| {
                x1.with_panel(i, |x1| Stream { short: short(0, groups.start + i), ..x1 }.read(t, rows));
            };
            let other = |index: usize| -> Streams<'_> {
                of_each(&groups, |group| Stream {
                    short: short(index, group),
                    ..Stream::of_panel(&others[index - 1][panel(group)..])
                })
            };
            let u = &u[sequence * length * width..];
            let u = of_each(&groups, |group| Stream::of_rows(u, width, width, group));
            let mut scratch = self.scratch.of(worker);
            core.mix(groups.clone(), &first, [other(1), other(2)], Some(u), &mut scratch, &x1);
        });
        Ok(())
    }

    /// Output projection and MLP of a layer.
    fn finish(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let (width, rows) = (self.spec.dims.d_model, self.spec.rows());
        let Some(layer) = &self.layer else { return Ok(()) };
        let params = match &self.spec.mlp {
            Some(mlp_spec) => Some(mlp_spec.params(&case.tensors, "param.mlp")?),
            None => None,
        };
        let blocks = output.chunks_mut(BLOCK * width).enumerate();
        for_each(parallel, blocks.len(), blocks, |(block, y), worker| {
            let (first, len) = (block * BLOCK, y.len());
            let mut scratch = self.scratch.of(worker);
            let (core, rest) = scratch.split_at_mut(BLOCK * width);
            panels::gather(&layer.projected[0], rows, first, width, &mut core[..len]);
            if let (Some(mlp), Some(params)) = (&layer.mlp, &params) {
                let (mixed, rest) = rest.split_at_mut(BLOCK * width);
                layer.out_linear.apply_rows(&core[..len], &mut mixed[..len]);
                mlp.apply_rows(params.norm, &mixed[..len], y, rest);
            } else {
                layer.out_linear.apply_rows(&core[..len], y);
            }
        });
        Ok(())
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let Some(layer) = &mut self.layer else { return self.run_core(case, output, parallel) };
        layer.project(&self.spec, case, parallel)?;
        self.mix(case, parallel)?;
        self.finish(case, output, parallel)
    }
}
