//! Liquid-S4 on the CPU. A task processes groups of eight channels of one sequence: it applies the state-space model (a
//! transform or the recurrence) and adds the liquid terms. Then blocks of rows go through GELU, the output layer and
//! its gate.

use std::cell::Cell;
use std::sync::Arc;

use mixer::{Case, Count, Floats, Level, Memory, MixerError, Parallel};

use super::kb;
use super::liquid::{self, MAX_DEGREE, Tuples};
use super::scan::{self, Scan};
use super::spec::{Contraction, Liquid, Spec};
use super::ssm::Ssm;
use crate::ops::activation::{Gelu, SigmoidGated, lecun_tanh, map, map2, tanh};
use crate::ops::fft::{Fft, Row};
use crate::ops::linear::{BLOCK, Linear};
use crate::ops::long_conv::{FilterBank, GROUP, circular_lag, fft_size};
use crate::ops::panels::{self, Shares, TOGETHER, of_each};
use crate::ops::parts::for_each;
use crate::ops::scratch::Scratch;
use crate::ops::simd::{Lanes, Pair, Work, run_eight};
use crate::ops::stream::{Groups, Stream};
use crate::ready::{self, Ready};

/// Implementation of the state-space model.
enum Model {
    Convolution {
        fft: Fft,
        bank: FilterBank,
        /// Filters of the KB kernel.
        kb: Option<FilterBank>,
        /// `[degrees, (reversed, straight), padded width]`.
        gains: Floats,
    },
    Recurrence(Scan),
}

/// Liquid-S4 prepared for one case.
pub(super) struct Kernel {
    spec: Spec,
    model: Model,
    /// e, zero-padded to whole groups; added to the kernel if there is one.
    skip: Floats,
    /// The output layer and s, `[groups, batch · length, GROUP]`.
    layer: Option<(Linear, Floats)>,
    scratch: Scratch,
}

/// Channels in whole groups.
pub(super) fn padded(spec: &Spec) -> usize {
    spec.dims.d_model.next_multiple_of(GROUP)
}

/// Floats of the gains.
fn gain_floats(spec: &Spec) -> usize {
    (spec.degree - 1) * 2 * padded(spec)
}

/// Floats that the model keeps.
pub(super) fn model_floats(spec: &Spec) -> Count {
    if spec.liquid == Liquid::Recurrence {
        return scan::floats(spec).into();
    }
    let (n, groups) = (fft_size(spec.dims.seq_len), padded(spec) / GROUP);
    let bank = FilterBank::floats(n, groups) - Fft::group_floats(n);
    let banks = if spec.liquid == Liquid::Kb { 2 } else { 1 };
    Fft::floats(n) + banks * bank + Count::from(gain_floats(spec))
}

/// Temporary floats during the construction of the model.
pub(super) fn setup_floats(spec: &Spec) -> Count {
    if spec.liquid == Liquid::Recurrence {
        return Count::ZERO;
    }
    let (sizes, directions) = (spec.dims.sizes(), Count::from(spec.directions()));
    let kernels = directions + if spec.liquid == Liquid::Kb { 2 } else { 0 };
    kernels * sizes.d_model * sizes.seq_len + Fft::group_floats(fft_size(spec.dims.seq_len))
}

/// Scratch floats of one worker.
pub(super) fn scratch_floats(spec: &Spec) -> Count {
    let tail = Count::from(if spec.level == Level::Layer { BLOCK * 3 * spec.dims.d_model } else { 0 });
    let transform = Fft::group_floats(fft_size(spec.dims.seq_len));
    let [together, length, group] = Count::all([TOGETHER, spec.dims.seq_len, GROUP]);
    tail.max(match spec.liquid {
        Liquid::Recurrence => (scan::SCRATCH + scan::state_floats(spec)).into(),
        Liquid::None => together * transform,
        // Scratch of the products.
        Liquid::Kb | Liquid::PolyB => together * (transform + length * group),
    })
}

impl Kernel {
    pub(super) fn new(
        case: &Arc<Case>,
        memory: &Memory,
        parallel: &dyn Parallel,
    ) -> Result<Ready<Self>, MixerError> {
        let spec = Spec::read(case)?;
        let (width, x) = (spec.dims.d_model, spec.input(&case.tensors)?);
        let mut skip = memory.floats(padded(&spec))?;
        skip[..width].copy_from_slice(spec.skip(&case.tensors)?);
        let model = match spec.liquid {
            Liquid::Recurrence => Model::Recurrence(Scan::new(&spec, case, memory)?),
            _ => convolution(&spec, case, &skip, memory, parallel)?,
        };
        let layer = match spec.level {
            Level::Core => None,
            Level::Layer => {
                let (weight, bias) = spec.output_linear(&case.tensors)?;
                let linear = Linear::new(memory, width, 2 * width, weight, Some(bias))?;
                Some((linear, memory.floats(panels::floats(spec.rows(), width))?))
            }
        };
        let kernel = Self {
            spec,
            model,
            skip,
            layer,
            scratch: Scratch::new(memory, parallel.threads(), scratch_floats(&spec))?,
        };
        let output = memory.floats(x.len())?;
        Ok(Ready::new(case, kernel, output))
    }
}

fn convolution(
    spec: &Spec,
    case: &Case,
    skip: &[f32],
    memory: &Memory,
    parallel: &dyn Parallel,
) -> Result<Model, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let ssm = Ssm::read(spec, &case.tensors)?;
    let fft = Fft::new(memory, fft_size(length))?;
    let mut gains = memory.floats(gain_floats(spec))?;
    if spec.degree > 1 {
        let values = liquid::gains(spec, &case.tensors)?;
        for (which, rows) in [values.reversed, values.straight].iter().enumerate() {
            for (degree, row) in rows.iter().enumerate() {
                let to = &mut gains[(degree * 2 + which) * padded(spec)..];
                to.iter_mut().zip(row).for_each(|(to, value)| *to = *value as f32);
            }
        }
    }
    let mut k = memory.floats(spec.directions() * width * length)?;
    ssm.kernels(length, &mut k, parallel);
    let build = |tap: &dyn Fn(usize, Result<usize, usize>) -> f32| {
        FilterBank::new(memory, &fft, padded(spec) / GROUP, fft.size(), |group, lane, position| {
            let channel = group * GROUP + lane;
            match circular_lag(position, fft.size(), length) {
                Some(lag) if channel < width => tap(channel, lag),
                _ => 0.0,
            }
        })
    };
    let bank = build(&|channel, lag| match lag {
        Ok(0) => k[channel * length] + skip[channel],
        Ok(s) => k[channel * length + s],
        // The backward kernel starts at t + 1.
        Err(s) if spec.bidirectional => k[(width + channel) * length + s - 1],
        Err(_) => 0.0,
    })?;
    let kb = if spec.liquid == Liquid::Kb {
        let mut filters = memory.floats(2 * width * length)?;
        fill_kb(&k, length, &mut filters, parallel);
        Some(build(&|channel, lag| {
            let filter = &filters[channel * 2 * length..][..2 * length];
            match lag {
                Ok(s) => filter[s],
                Err(s) => filter[2 * length - s],
            }
        })?)
    } else {
        None
    };
    Ok(Model::Convolution { fft, bank, kb, gains })
}

/// The KB filter of each channel, `[width, 2 · length]`.
fn fill_kb(k: &[f32], length: usize, filters: &mut [f32], parallel: &dyn Parallel) {
    let rows = filters.chunks_mut(2 * length).enumerate();
    for_each(parallel, rows.len(), rows, |(channel, row), _| {
        let k: Vec<f64> = k[channel * length..][..length].iter().map(|&k| f64::from(k)).collect();
        row.iter_mut().zip(kb::filter(&k)).for_each(|(to, value)| *to = value as f32);
    });
}

/// Adds the products of every degree to rows of eight channels: reversed and, if there are gains for them, in their own
/// order.
struct Products<'a, 'b> {
    spec: &'a Spec,
    x: Stream<'a>,
    /// `[degree − 1, 2, padded width]`.
    gains: &'a [f32],
    group: usize,
    rows: &'b mut [Row],
}

impl Products<'_, '_> {
    #[inline(always)]
    fn put<V: Lanes>(&mut self, degree: usize, t: usize, product: V) {
        let spec = self.spec;
        let product = match spec.contraction {
            Contraction::None => product,
            Contraction::Tanh => tanh(product),
            Contraction::Lecun => lecun_tanh(product),
        };
        let gain =
            |which: usize| V::load(&self.gains[(degree * 2 + which) * padded(spec) + self.group * GROUP..]);
        let row = &mut self.rows[spec.dims.seq_len - 1 - t];
        V::load(row).mul_add(gain(0), product).store(row);
        if spec.bidirectional && spec.liquid == Liquid::PolyB {
            let row = &mut self.rows[t];
            V::load(row).mul_add(gain(1), product).store(row);
        }
    }
}

impl Work for Products<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let (spec, x) = (self.spec, self.x);
        let length = spec.dims.seq_len;
        if !spec.allcombs {
            let mut previous = [V::splat(0.0); MAX_DEGREE];
            for t in 0..length {
                let mut current: V = x.at(t);
                for degree in 0..spec.degree - 1 {
                    let next = current * previous[degree];
                    previous[degree] = current;
                    self.put(degree, t, next);
                    current = next;
                }
            }
            return;
        }
        for degree in 0..spec.degree - 1 {
            let Some(mut tuples) = Tuples::last(length, degree + 2) else { continue };
            let base = length - tuples.n();
            let mut t = 0;
            while t < length {
                let (prefix, last) = tuples.run();
                let fixed: V = prefix.iter().fold(V::splat(1.0), |fixed, &p| fixed * x.at(base + p));
                for last in last.take(length - t) {
                    self.put(degree, t, fixed * x.at(base + last));
                    t += 1;
                }
                if !tuples.advance() {
                    break;
                }
            }
        }
    }
}

impl Kernel {
    /// s of every sequence and group, written to the parts `to` of `shares`.
    fn mix<'b>(
        spec: &Spec,
        model: &Model,
        (scratch, skip): (&Scratch, &[f32]),
        x: &[f32],
        (shares, to): (&Shares, impl Iterator<Item = Groups<'b>>),
        parallel: &dyn Parallel,
    ) {
        let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
        shares.for_each(parallel, to, |sequence, groups, to, worker| {
            let x = &x[sequence * length * width..];
            let x = of_each(&groups, |group| Stream::of_rows(x, width, width, group));
            let mut scratch = scratch.of(worker);
            let (fft, bank, kb, gains) = match model {
                Model::Convolution { fft, bank, kb, gains } => (fft, bank, kb, gains),
                Model::Recurrence(scan) => {
                    let (states, scratch) = scratch.split_at_mut(scan::state_floats(spec));
                    for (i, group) in groups.clone().enumerate() {
                        states.fill(0.0);
                        let emit = |t: usize, s: &mut [Row]| to.write(i, t, s);
                        scan.run(group, length, (&x[i], skip), states, emit, scratch);
                    }
                    return;
                }
            };
            let (work, products) = scratch.split_at_mut(groups.len() * fft.data_floats());
            let from = |i: usize, t: usize, rows: &mut [Row]| x[i].read(t, rows);
            if spec.liquid == Liquid::None {
                let put = |i: usize, t: usize, rows: &mut [Row]| to.write(i, t, rows);
                bank.convolve(fft, groups.clone(), length, &from, &put, work);
                return;
            }
            let (products, _) = products[..groups.len() * length * GROUP].as_chunks_mut();
            products.fill([0.0; GROUP]);
            for ((group, x), products) in groups.clone().zip(x).zip(products.chunks_exact_mut(length)) {
                run_eight(Products { spec, x, gains, group, rows: products });
            }
            if let Some(kb) = kb {
                let products = Cell::from_mut(&mut *products).as_slice_of_cells();
                let from = |i: usize, t: usize, rows: &mut [Row]| {
                    rows.iter_mut()
                        .zip(&products[i * length + t..])
                        .for_each(|(row, from)| *row = from.get());
                };
                let put = |i: usize, t: usize, rows: &mut [Row]| {
                    rows.iter().zip(&products[i * length + t..]).for_each(|(row, to)| to.set(*row));
                };
                kb.convolve(fft, groups.clone(), length, &from, &put, work);
            }
            let put = |i: usize, t: usize, rows: &mut [Row]| {
                for (row, product) in rows.iter_mut().zip(&products[i * length + t..]) {
                    (Pair::load(row) + Pair::load(product)).store(row);
                }
                to.write(i, t, rows);
            };
            bank.convolve(fft, groups.clone(), length, &from, &put, work);
        });
    }
}

/// A layer's output y, `[rows, width]`, from s in `activated`: GELU, the output layer to `joint`, `[rows, 2 · width]`, and its
/// gate.
pub(super) fn finish(linear: &Linear, width: usize, activated: &mut [f32], joint: &mut [f32], y: &mut [f32]) {
    map(activated, Gelu);
    linear.apply_rows(activated, joint);
    for (y, joint) in y.chunks_exact_mut(width).zip(joint.chunks_exact(2 * width)) {
        y.copy_from_slice(&joint[..width]);
        map2(y, &joint[width..], SigmoidGated);
    }
}

impl ready::Kernel for Kernel {
    fn run(&mut self, case: &Case, output: &mut [f32], parallel: &dyn Parallel) -> Result<(), MixerError> {
        let spec = self.spec;
        let (width, length, rows) = (spec.dims.d_model, spec.dims.seq_len, spec.rows());
        let x = spec.input(&case.tensors)?;
        let shared = (&self.scratch, &self.skip[..]);
        let shares = Shares::new(spec.dims.batch, width, parallel.threads());
        let Some((linear, s)) = &mut self.layer else {
            let to = shares.of_rows(output, length, width);
            Self::mix(&spec, &self.model, shared, x, (&shares, to), parallel);
            return Ok(());
        };
        let to = shares.of_panels(s, length, rows);
        Self::mix(&spec, &self.model, shared, x, (&shares, to), parallel);
        let blocks = output.chunks_mut(BLOCK * width).enumerate();
        for_each(parallel, blocks.len(), blocks, |(block, y), worker| {
            let (first, n_rows) = (block * BLOCK, y.len() / width);
            let mut scratch = self.scratch.of(worker);
            let (activated, joint) = scratch.split_at_mut(BLOCK * width);
            let activated = &mut activated[..n_rows * width];
            let joint = &mut joint[..n_rows * 2 * width];
            panels::gather(s, rows, first, width, activated);
            finish(linear, width, activated, joint, y);
        });
        Ok(())
    }
}
