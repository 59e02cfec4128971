//! The multi-dimensional damped exponential moving average on the CPU: a recurrence over eight channels at once or, if
//! truncated, a long convolution.

use std::slice;

use mixer::{Count, Floats, Memory, MixerError, Parallel, Tensors};

use super::spec::EmaSpec;
use crate::ops::activation::silu;
use crate::ops::fft::{Fft, Row};
use crate::ops::long_conv::{FilterBank, GROUP, circular_lag, fft_size};
use crate::ops::panels::{Shares, TOGETHER, of_each};
use crate::ops::scratch::Scratch;
use crate::ops::simd::{Lanes, Pair, Work, run_eight};
use crate::ops::stream::{Groups, Stream};

/// One dimension of one channel: k[s] = gain · decayˢ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dimension {
    /// q = 1 − σ(damping) σ(decay).
    pub decay: f64,
    /// n^(−½) γ p β.
    pub gain: f64,
}

/// The dimensions of all channels, `[directions · width, n]`.
///
/// # Errors
/// [`MixerError::MissingTensor`] or [`MixerError::TensorShape`].
pub(super) fn dimensions(spec: &EmaSpec, tensors: &Tensors) -> Result<Vec<Dimension>, MixerError> {
    let [damping, decay, expansion, projection] = spec.params(tensors)?;
    let scale = 1.0 / (spec.n as f64).sqrt();
    let sigmoid = |value: f32| 1.0 / (1.0 + (-f64::from(value)).exp());
    Ok(damping
        .iter()
        .zip(decay)
        .zip(expansion.iter().zip(projection))
        .map(|((damping, decay), (expansion, projection))| {
            let p = sigmoid(*damping);
            Dimension {
                decay: 1.0 - p * sigmoid(*decay),
                gain: scale * f64::from(*projection) * p * f64::from(*expansion),
            }
        })
        .collect())
}

/// k[0 .. lags] of one channel.
pub(super) fn kernel(dimensions: &[Dimension], lags: usize) -> Vec<f64> {
    let mut powers: Vec<f64> = dimensions.iter().map(|dimension| dimension.gain).collect();
    (0..lags)
        .map(|_| {
            let mut sum = 0.0;
            for (power, dimension) in powers.iter_mut().zip(dimensions) {
                sum += *power;
                *power *= dimension.decay;
            }
            sum
        })
        .collect()
}

/// Dimensions per pass of the scan.
const DIMENSIONS: usize = 2;

/// Time steps per block and dimension: a block of sums stays in the first-level cache.
const STEPS: usize = 64;

/// Scratch floats of [`scan`].
pub(super) const SCAN_SCRATCH: usize = 2 * STEPS * GROUP;

enum Method {
    /// `[n, (decay, gain), GROUP]` for each direction and group, with n padded to a multiple of [`DIMENSIONS`].
    Scan(Floats),
    Convolution(Fft, FilterBank),
}

/// The average prepared for one case.
pub(super) struct Ema {
    spec: EmaSpec,
    method: Method,
    /// ω, zero-padded to whole groups.
    residual: Floats,
}

fn padded_n(spec: &EmaSpec) -> usize {
    spec.n.next_multiple_of(DIMENSIONS)
}

/// Floats of the dimensions of a channel group, `[n, GROUP]` with n padded.
pub(super) fn group_state(spec: &EmaSpec) -> usize {
    padded_n(spec) * GROUP
}

/// Floats of the parameters of a channel group in one direction, `[n, (decay, gain), GROUP]`.
pub(super) fn group_params(spec: &EmaSpec) -> usize {
    2 * group_state(spec)
}

/// Parameters of the scan for each direction and channel group, [`group_params`] each.
///
/// # Errors
/// [`MixerError::OutOfMemory`], or those of [`dimensions`].
pub(super) fn pack(spec: &EmaSpec, tensors: &Tensors, memory: &Memory) -> Result<Floats, MixerError> {
    let (width, per_group) = (spec.dims.d_model, group_params(spec));
    let groups = width.div_ceil(GROUP);
    let mut packed = memory.floats(spec.directions() * groups * per_group)?;
    for (channel, dimensions) in dimensions(spec, tensors)?.chunks_exact(spec.n).enumerate() {
        let (direction, channel) = (channel / width, channel % width);
        let group = &mut packed[(direction * groups + channel / GROUP) * per_group..];
        for (dimension, pair) in dimensions.iter().zip(group.chunks_exact_mut(2 * GROUP)) {
            pair[channel % GROUP] = dimension.decay as f32;
            pair[GROUP + channel % GROUP] = dimension.gain as f32;
        }
    }
    Ok(packed)
}

/// ω, zero-padded to whole groups.
///
/// # Errors
/// [`MixerError::OutOfMemory`], or those of [`EmaSpec::residual`].
pub(super) fn residual(spec: &EmaSpec, tensors: &Tensors, memory: &Memory) -> Result<Floats, MixerError> {
    let width = spec.dims.d_model;
    let mut residual = memory.floats(width.next_multiple_of(GROUP))?;
    residual[..width].copy_from_slice(spec.residual(tensors)?);
    Ok(residual)
}

/// Floats that [`Ema::new`] keeps.
pub(super) fn floats(spec: &EmaSpec) -> Count {
    let groups = spec.dims.d_model.div_ceil(GROUP);
    let size = fft_size(spec.dims.seq_len);
    let [channels, dimensions, directions] = Count::all([groups * GROUP, padded_n(spec), spec.directions()]);
    channels
        + match spec.truncation {
            None => 2 * directions * dimensions * channels,
            Some(_) => Fft::floats(size) + FilterBank::floats(size, groups) - Fft::group_floats(size),
        }
}

/// Temporary floats during [`Ema::new`].
pub(super) fn setup_floats(spec: &EmaSpec) -> Count {
    spec.truncation.map_or(Count::ZERO, |lags| {
        let [directions, width, lags] = Count::all([spec.directions(), spec.dims.d_model, lags]);
        Fft::group_floats(fft_size(spec.dims.seq_len)) + directions * width * lags
    })
}

/// Floats of one worker's scratch.
pub(super) fn scratch_floats(spec: &EmaSpec) -> Count {
    match spec.truncation {
        None => (SCAN_SCRATCH + group_state(spec)).into(),
        Some(_) => Count::from(TOGETHER) * Fft::group_floats(fft_size(spec.dims.seq_len)),
    }
}

impl Ema {
    pub(super) fn new(spec: EmaSpec, tensors: &Tensors, memory: &Memory) -> Result<Self, MixerError> {
        let (width, groups) = (spec.dims.d_model, spec.dims.d_model.div_ceil(GROUP));
        let residual = residual(&spec, tensors, memory)?;
        let method = match spec.truncation {
            None => Method::Scan(pack(&spec, tensors, memory)?),
            Some(lags) => {
                let fft = Fft::new(memory, fft_size(spec.dims.seq_len))?;
                let dimensions = dimensions(&spec, tensors)?;
                let mut kernels = memory.floats(spec.directions() * width * lags)?;
                for (to, dimensions) in kernels.chunks_exact_mut(lags).zip(dimensions.chunks_exact(spec.n)) {
                    let values = kernel(dimensions, lags);
                    to.iter_mut().zip(values).for_each(|(to, value)| *to = value as f32);
                }
                let value = |row: usize, lag: usize| if lag < lags { kernels[row * lags + lag] } else { 0.0 };
                let bank = FilterBank::new(memory, &fft, groups, fft.size(), |group, lane, position| {
                    let channel = group * GROUP + lane;
                    if channel >= width {
                        return 0.0;
                    }
                    let backward = |lag| if spec.bidirectional { value(width + channel, lag) } else { 0.0 };
                    match circular_lag(position, fft.size(), spec.dims.seq_len) {
                        // Both directions include the present.
                        Some(Ok(0)) => value(channel, 0) + backward(0),
                        Some(Ok(lag)) => value(channel, lag),
                        Some(Err(lag)) => backward(lag),
                        None => 0.0,
                    }
                })?;
                Method::Convolution(fft, bank)
            }
        };
        Ok(Self { spec, method, residual })
    }

    /// SiLU(m + ω ⊙ x̂) of row-major rows, `[batch, length, width]`, written to row-major rows.
    pub(super) fn run_rows(&self, scratch: &Scratch, from: &[f32], to: &mut [f32], parallel: &dyn Parallel) {
        let (width, length) = (self.spec.dims.d_model, self.spec.dims.seq_len);
        let shares = Shares::new(self.spec.dims.batch, width, parallel.threads());
        let stream = |sequence: usize, group: usize| {
            Stream::of_rows(&from[sequence * length * width..], width, width, group)
        };
        self.run(scratch, stream, &shares, shares.of_rows(to, length, width), parallel);
    }

    /// [`Ema::run_rows`] from one panel-major stream to another.
    pub(super) fn run_panels(
        &self,
        scratch: &Scratch,
        from: &[f32],
        to: &mut [f32],
        parallel: &dyn Parallel,
    ) {
        let (length, rows) = (self.spec.dims.seq_len, self.spec.rows());
        let shares = Shares::new(self.spec.dims.batch, self.spec.dims.d_model, parallel.threads());
        let stream = |sequence: usize, group: usize| {
            Stream::of_panel(&from[(group * rows + sequence * length) * GROUP..])
        };
        self.run(scratch, stream, &shares, shares.of_panels(to, length, rows), parallel);
    }

    /// Reads `from(sequence, group)` and writes `to`, for each of `shares` in turn.
    fn run<'a, 'b>(
        &self,
        scratch: &Scratch,
        from: impl Fn(usize, usize) -> Stream<'a> + Sync,
        shares: &Shares,
        to: impl Iterator<Item = Groups<'b>>,
        parallel: &dyn Parallel,
    ) {
        let (width, length) = (self.spec.dims.d_model, self.spec.dims.seq_len);
        shares.for_each(parallel, to, |sequence, groups, to, worker| {
            let mut scratch = scratch.of(worker);
            let x = of_each(&groups, |group| from(sequence, group));
            let output = |i: usize, first: usize, rows: &mut [Row], is_reversed: bool| {
                let omega = &self.residual[(groups.start + i) * GROUP..][..GROUP];
                run_eight(Output { x: x[i], first, is_reversed, omega, rows });
            };
            let packed = match &self.method {
                Method::Convolution(fft, bank) => {
                    let from = |i: usize, t: usize, rows: &mut [Row]| x[i].read(t, rows);
                    let emit = |i: usize, t: usize, rows: &mut [Row]| {
                        output(i, t, rows, false);
                        to.write(i, t, rows);
                    };
                    bank.convolve(fft, groups.clone(), length, &from, &emit, &mut scratch);
                    return;
                }
                Method::Scan(packed) => packed,
            };
            let (states, scratch) = scratch.split_at_mut(group_state(&self.spec));
            for (i, group) in groups.clone().enumerate() {
                states.fill(0.0);
                let params = |direction: usize| {
                    let per_group = group_params(&self.spec);
                    &packed[(direction * width.div_ceil(GROUP) + group) * per_group..][..per_group]
                };
                let zero = |_: usize, rows: &mut [Row]| rows.fill([0.0; GROUP]);
                let keep = |t: usize, rows: &mut [Row]| to.write(i, t, rows);
                if self.spec.bidirectional {
                    let last = length - 1;
                    let kept = |t: usize, rows: &mut [Row]| {
                        for (t, row) in (0..=t).rev().zip(rows) {
                            to.read(i, t, slice::from_mut(row));
                        }
                    };
                    let emit = |t: usize, rows: &mut [Row]| {
                        output(i, t, rows, true);
                        for (t, row) in (0..=t).rev().zip(rows.iter()) {
                            to.write(i, t, slice::from_ref(row));
                        }
                    };
                    scan((params(0), states), length, |t| t, &x[i], zero, keep, scratch);
                    states.fill(0.0);
                    scan((params(1), states), length, |t| last - t, &x[i], kept, emit, scratch);
                } else {
                    let emit = |t: usize, rows: &mut [Row]| {
                        output(i, t, rows, false);
                        keep(t, rows);
                    };
                    scan((params(0), states), length, |t| t, &x[i], zero, emit, scratch);
                }
            }
        });
    }
}

/// SiLU(m + ω ⊙ x̂) of rows of m from time `first` on; backward in time if `is_reversed`.
pub(super) struct Output<'a, 'b> {
    pub x: Stream<'a>,
    pub first: usize,
    pub is_reversed: bool,
    pub omega: &'b [f32],
    pub rows: &'b mut [Row],
}

impl Work for Output<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let omega = V::load(self.omega);
        for (step, row) in self.rows.iter_mut().enumerate() {
            let t = if self.is_reversed { self.first - step } else { self.first + step };
            silu(V::load(row).mul_add(omega, self.x.at(t))).store(row);
        }
    }
}

/// m at the times `time(0)`, `time(1)`, …: h ← q h + x, m = Σ g h, added to the rows that `before` fills in; `emit`
/// receives m. Both receive the time of the first row. h is `states`, `[n, GROUP]` with n padded, before and after.
pub(super) fn scan(
    (params, states): (&[f32], &mut [f32]),
    length: usize,
    time: impl Fn(usize) -> usize,
    x: &Stream<'_>,
    before: impl Fn(usize, &mut [Row]),
    emit: impl Fn(usize, &mut [Row]),
    scratch: &mut [f32],
) {
    let (sums, inputs) = scratch[..SCAN_SCRATCH].as_chunks_mut().0.split_at_mut(STEPS);
    for first in (0..length).step_by(STEPS) {
        let steps = STEPS.min(length - first);
        let (sums, inputs) = (&mut sums[..steps], &mut inputs[..steps]);
        before(time(first), sums);
        // Every pair of dimensions reads the inputs again. In place, they would compete for few sets of the cache.
        for (step, input) in inputs.iter_mut().enumerate() {
            x.at::<Pair>(time(first + step)).store(input);
        }
        run_eight(Steps { params, states, sums, inputs });
        emit(time(first), sums);
    }
}

/// A block of time steps of all dimensions of one channel group.
struct Steps<'a> {
    params: &'a [f32],
    states: &'a mut [f32],
    sums: &'a mut [Row],
    inputs: &'a [Row],
}

impl Work for Steps<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { params, states, sums, inputs } = self;
        let pairs = params.chunks_exact(DIMENSIONS * 2 * GROUP);
        for (params, states) in pairs.zip(states.chunks_exact_mut(DIMENSIONS * GROUP)) {
            let vector = |floats: &[f32], index: usize| V::load(&floats[index * GROUP..]);
            let [q, g, r, f] = std::array::from_fn(|index| vector(params, index));
            let [mut a, mut b] = std::array::from_fn(|index| vector(states, index));
            for (sum, input) in sums.iter_mut().zip(inputs) {
                let x = V::load(input);
                a = x.mul_add(q, a);
                b = x.mul_add(r, b);
                V::load(sum).mul_add(g, a).mul_add(f, b).store(sum);
            }
            a.store(states);
            b.store(&mut states[GROUP..]);
        }
    }
}
