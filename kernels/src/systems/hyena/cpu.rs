//! The CPU kernel. A task processes a few groups of eight channels of one sequence from the projected streams to the
//! gated output, so that the working set of a long convolution is one packed transform per group.

use std::sync::Arc;

use mixer::{Case, Count, Floats, Memory, MixerError, Parallel};

use super::Spec;
use super::filter::Filter;
use crate::ops::fft::{Fft, Row};
use crate::ops::gemm::PANEL;
use crate::ops::linear::Linear;
use crate::ops::long_conv::{FilterBank, GROUP, fft_size};
use crate::ops::panels::{Shares, TOGETHER, of_each};
use crate::ops::scratch::Scratch;
use crate::ops::stream::Stream;
use crate::ready::{self, Ready};

// A panel of the projection is exactly a channel group of the convolution.
const _: () = assert!(PANEL == GROUP);

/// Number of channel groups of a stream.
pub(super) fn groups(width: usize) -> usize {
    width.div_ceil(GROUP)
}

/// Floats of one stream's packed short filter.
pub(super) fn short_floats(spec: &Spec) -> usize {
    groups(spec.dims.d_model) * GROUP * (spec.taps + 1)
}

/// Floats of one worker's scratch.
pub(super) fn scratch_floats(size: usize) -> Count {
    Count::from(TOGETHER) * Fft::group_floats(size)
}

/// Weights and buffers that only a layer has.
struct Layer {
    /// The projection of each stream.
    in_proj: Vec<Linear>,
    /// For each stream `[groups, taps + 1, GROUP]`: taps, then the bias.
    short: Vec<Floats>,
    /// For each stream `[groups, batch · length, GROUP]`.
    projected: Vec<Floats>,
    /// The core's output, `[batch, length, width]`.
    core: Floats,
    out_proj: Linear,
}

/// Hyena prepared for one case.
pub(super) struct Kernel {
    spec: Spec,
    fft: Fft,
    bank: FilterBank,
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
        let (width, length) = (spec.dims.d_model, spec.out_len());
        let fft = Fft::new(memory, fft_size(length))?;
        let bank = filter_bank(&spec, case, &fft, memory, parallel)?;
        let layer = if spec.filter.is_some() { Some(Layer::new(&spec, case, memory)?) } else { None };
        if layer.is_none() {
            spec.streams(&case.tensors)?;
        } else {
            spec.input(&case.tensors)?;
        }
        let kernel = Self {
            spec,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(fft.size()))?,
            fft,
            bank,
            layer,
        };
        let output = memory.floats(kernel.spec.dims.batch * length * width)?;
        Ok(Ready::new(case, kernel, output))
    }
}

impl Layer {
    fn new(spec: &Spec, case: &Case, memory: &Memory) -> Result<Self, MixerError> {
        let (width, rows) = (spec.dims.d_model, spec.dims.batch * spec.out_len());
        let (weight, bias) = spec.projection(&case.tensors, "in_proj")?;
        let (taps, tap_bias) = spec.short_filter(&case.tensors)?;
        let (mut in_proj, mut short, mut projected) = (Vec::new(), Vec::new(), Vec::new());
        for stream in 0..=spec.order {
            let channels = stream * width..(stream + 1) * width;
            in_proj.push(Linear::new(
                memory,
                width,
                width,
                &weight[channels.start * width..channels.end * width],
                Some(&bias[channels.clone()]),
            )?);
            let mut packed = memory.floats(short_floats(spec))?;
            for (channel, source) in channels.enumerate() {
                let group = &mut packed[channel / GROUP * GROUP * (spec.taps + 1) + channel % GROUP..];
                let values = taps[source * spec.taps..][..spec.taps].iter().chain(&tap_bias[source..=source]);
                group.iter_mut().step_by(GROUP).zip(values).for_each(|(to, from)| *to = *from);
            }
            short.push(packed);
            projected.push(memory.floats(groups(width) * GROUP * rows)?);
        }
        let (weight, bias) = spec.projection(&case.tensors, "out_proj")?;
        let out_proj = Linear::new(memory, width, width, weight, Some(bias))?;
        Ok(Self { in_proj, short, projected, core: memory.floats(rows * width)?, out_proj })
    }
}

/// Spectra of all filters; group o · groups + g is channel group g of convolution o. The skip is added to the first
/// tap.
fn filter_bank(
    spec: &Spec,
    case: &Case,
    fft: &Fft,
    memory: &Memory,
    parallel: &dyn Parallel,
) -> Result<FilterBank, MixerError> {
    let (width, length, convolutions) = (spec.dims.d_model, spec.out_len(), spec.convolutions());
    let groups = groups(width);
    let mut skips = vec![0.0; convolutions * groups * GROUP];
    for o in 0..convolutions {
        for channel in 0..width {
            skips[o * groups * GROUP + channel] = spec.skip(&case.tensors, o, channel)?;
        }
    }
    let with_skip = |values: &dyn Fn(usize, usize, usize) -> f32, group: usize, lane: usize, t: usize| {
        let (o, channel) = (group / groups, group % groups * GROUP + lane);
        let value = if channel < width { values(o, channel, t) } else { 0.0 };
        if t == 0 { value + skips[group * GROUP + lane] } else { value }
    };
    match &spec.filter {
        None => {
            let (k, _) = spec.core_filter(&case.tensors)?;
            let values = |o: usize, channel: usize, t: usize| k[(o * width + channel) * length + t];
            FilterBank::new(memory, fft, convolutions * groups, length, |g, lane, t| {
                with_skip(&values, g, lane, t)
            })
        }
        Some(filter_spec) => {
            let mut h = memory.floats(length * filter_spec.channels)?;
            Filter::new(filter_spec, &case.tensors)?.evaluate(&mut h, parallel);
            let values =
                |o: usize, channel: usize, t: usize| h[t * filter_spec.channels + channel * convolutions + o];
            FilterBank::new(memory, fft, convolutions * groups, length, |g, lane, t| {
                with_skip(&values, g, lane, t)
            })
        }
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let (spec, fft, bank, scratch) = (&self.spec, &self.fft, &self.bank, &self.scratch);
        let (width, length, order) = (spec.dims.d_model, spec.out_len(), spec.order);
        match &mut self.layer {
            None => {
                let x = spec.streams(&case.tensors)?;
                let channels = (order + 1) * width;
                let streams = |stream: usize, sequence: usize, group: usize| {
                    Stream::of_rows(
                        &x[sequence * length * channels + stream * width..],
                        channels,
                        width,
                        group,
                    )
                };
                mix(spec, fft, bank, scratch, &streams, output, parallel);
            }
            Some(layer) => {
                let x = spec.input(&case.tensors)?;
                project(spec, layer, x, parallel);
                let (projected, short) = (&layer.projected, &layer.short);
                let rows = spec.dims.batch * length;
                let taps = GROUP * (spec.taps + 1);
                let streams = |stream: usize, sequence: usize, group: usize| Stream {
                    floats: &projected[stream][(group * rows + sequence * length) * GROUP..],
                    stride: GROUP,
                    columns: GROUP,
                    short: &short[stream][group * taps..][..taps],
                };
                mix(spec, fft, bank, scratch, &streams, &mut layer.core, parallel);
                layer.out_proj.apply(&layer.core, output, parallel);
            }
        }
        Ok(())
    }
}

/// Projects the first `out_len` positions of each sequence.
fn project(spec: &Spec, layer: &mut Layer, x: &[f32], parallel: &dyn Parallel) {
    let (width, length) = (spec.dims.d_model, spec.out_len());
    if length == spec.dims.seq_len {
        for (linear, projected) in layer.in_proj.iter().zip(&mut layer.projected) {
            linear.apply_paneled(x, projected, parallel);
        }
        return;
    }
    // If the output is cut, the core's buffer, unused until the convolutions end, holds the rows to project.
    for (to, from) in
        layer.core.chunks_exact_mut(length * width).zip(x.chunks_exact(spec.dims.seq_len * width))
    {
        to.copy_from_slice(&from[..length * width]);
    }
    for (linear, projected) in layer.in_proj.iter().zip(&mut layer.projected) {
        linear.apply_paneled(&layer.core, projected, parallel);
    }
}

/// Gates and convolutions; `out` is `[batch, length, width]`.
fn mix<'a>(
    spec: &Spec,
    fft: &Fft,
    bank: &FilterBank,
    scratch: &Scratch,
    streams: &(dyn Fn(usize, usize, usize) -> Stream<'a> + Sync),
    out: &mut [f32],
    parallel: &dyn Parallel,
) {
    let (width, length, order) = (spec.dims.d_model, spec.out_len(), spec.order);
    let all = groups(width);
    let shares = Shares::new(spec.dims.batch, width, parallel.threads());
    let parts = shares.of_rows(out, length, width);
    shares.for_each(parallel, parts, |sequence, groups, out, worker| {
        let mut scratch = scratch.of(worker);
        let stream = |stream: usize| of_each(&groups, |group| streams(stream, sequence, group));
        let (value, first) = (stream(order), stream(order - 1));
        for o in 0..order - 1 {
            let gate = stream(order - 2 - o);
            let from = |i: usize, t: usize, rows: &mut [Row]| {
                if o == 0 {
                    value[i].read(t, rows);
                    first[i].gate(t, rows);
                    return;
                }
                out.read(i, t, rows);
            };
            let to = |i: usize, t: usize, rows: &mut [Row]| {
                gate[i].gate(t, rows);
                out.write(i, t, rows);
            };
            let groups = o * all + groups.start..o * all + groups.end;
            bank.convolve(fft, groups, length, &from, &to, &mut scratch);
        }
    });
}
