//! The moving average from one state to a later one, for decoding. All lags: the state is that of the dimensions of each
//! channel. Truncated: the sum over the last lags is no finite recurrence, so the state is the last inputs.

use mixer::{Count, Floats, Memory, MixerError, Parallel, Tensors};

use super::ema::{self, Output, SCAN_SCRATCH, scan};
use super::spec::EmaSpec;
use crate::ops::activation::silu;
use crate::ops::fft::Row;
use crate::ops::grain;
use crate::ops::long_conv::GROUP;
use crate::ops::parts::{Matrix, for_each};
use crate::ops::scratch::Scratch;
use crate::ops::simd::{Lanes, Work, run_eight, run_widest};
use crate::ops::stream::{Groups, Stream};

/// Vectors of channels whose sums over the lags are taken at once.
const VECTORS: usize = 4;

enum Method {
    /// Parameters of the scan, by channel groups.
    Scan(Floats),
    /// The kernel, `[lags, width]`.
    Window(Floats),
}

/// The average prepared for cases of one shape. Its state belongs to the caller.
pub(super) struct Average {
    spec: EmaSpec,
    method: Method,
    /// ω, zero-padded to whole groups.
    residual: Floats,
}

/// Floats of the state: `[batch, groups, n, GROUP]` with n padded, or `[batch, lags, width]`.
pub(super) fn state_floats(spec: &EmaSpec) -> Count {
    let width = spec.dims.d_model;
    let sequence = match spec.truncation {
        None => [width.div_ceil(GROUP), ema::group_state(spec)],
        Some(lags) => [lags, width],
    };
    let [batch, rows, row] = Count::all([spec.dims.batch, sequence[0], sequence[1]]);
    batch * rows * row
}

/// Floats that [`Average::new`] keeps.
pub(super) fn floats(spec: &EmaSpec) -> Count {
    let width = spec.dims.d_model;
    let [padded, groups, params, row] =
        Count::all([width.next_multiple_of(GROUP), width.div_ceil(GROUP), ema::group_params(spec), width]);
    padded + spec.truncation.map_or(groups * params, |lags| row * Count::from(lags))
}

/// Floats of one worker's scratch.
pub(super) const SCRATCH: usize = SCAN_SCRATCH;

impl Average {
    pub(super) fn new(spec: EmaSpec, tensors: &Tensors, memory: &Memory) -> Result<Self, MixerError> {
        let width = spec.dims.d_model;
        let method = match spec.truncation {
            None => Method::Scan(ema::pack(&spec, tensors, memory)?),
            Some(lags) => {
                let mut kernel = memory.floats(lags * width)?;
                for (channel, dimensions) in ema::dimensions(&spec, tensors)?.chunks_exact(spec.n).enumerate()
                {
                    let taps = kernel[channel..].iter_mut().step_by(width);
                    taps.zip(ema::kernel(dimensions, lags)).for_each(|(to, tap)| *to = tap as f32);
                }
                Method::Window(kernel)
            }
        };
        Ok(Self { spec, method, residual: ema::residual(&spec, tensors, memory)? })
    }

    /// SiLU(m + ω ⊙ x̂) of `length` tokens of every sequence, `[batch, length, width]`, from the state before position
    /// `position` to the state after the last token.
    pub(super) fn advance(
        &self,
        (position, length): (usize, usize),
        x: &[f32],
        states: &mut [f32],
        to: Option<&mut [f32]>,
        scratch: &Scratch,
        parallel: &dyn Parallel,
    ) {
        let (width, batch) = (self.spec.dims.d_model, self.spec.dims.batch);
        let per_channel = self.spec.truncation.unwrap_or(2 * self.spec.n);
        let parallel = grain::worth(parallel, grain::product([batch, length, width, per_channel]));
        match &self.method {
            Method::Scan(params) => self.scan(params, length, x, states, to, scratch, parallel),
            Method::Window(kernel) => {
                let lags = kernel.len() / width;
                let mut outputs = to.map(|to| to.chunks_exact_mut(length * width));
                let states = states.chunks_exact_mut(lags * width).zip(x.chunks_exact(length * width));
                let parts =
                    states.map(move |(state, x)| (state, x, outputs.as_mut().and_then(Iterator::next)));
                for_each(parallel, batch, parts, |(state, x, mut to), _| {
                    for (t, x) in x.chunks_exact(width).enumerate() {
                        let newest = (position + t) % lags;
                        state[newest * width..][..width].copy_from_slice(x);
                        if let Some(to) = &mut to {
                            let to = &mut to[t * width..][..width];
                            let omega = &self.residual[..width];
                            run_widest(Window { inputs: state, kernel, newest, x, omega, to });
                        }
                    }
                });
            }
        }
    }

    fn scan(
        &self,
        params: &[f32],
        length: usize,
        x: &[f32],
        states: &mut [f32],
        to: Option<&mut [f32]>,
        scratch: &Scratch,
        parallel: &dyn Parallel,
    ) {
        let width = self.spec.dims.d_model;
        let groups = width.div_ceil(GROUP);
        let mut columns = to.map(|to| {
            let sequences = Matrix::new(to, width).row_blocks(length);
            sequences.flat_map(|sequence| sequence.column_blocks(GROUP))
        });
        let states = states.chunks_exact_mut(ema::group_state(&self.spec)).enumerate();
        let parts =
            states.map(move |(index, state)| (index, state, columns.as_mut().and_then(Iterator::next)));
        for_each(parallel, self.spec.dims.batch * groups, parts, |(index, state, to), worker| {
            let (sequence, group) = (index / groups, index % groups);
            let params = &params[group * ema::group_params(&self.spec)..][..ema::group_params(&self.spec)];
            let x = Stream::of_rows(&x[sequence * length * width..], width, width, group);
            let to = to.map(Groups::of_rows);
            let omega = &self.residual[group * GROUP..][..GROUP];
            let zero = |_: usize, rows: &mut [Row]| rows.fill([0.0; GROUP]);
            let emit = |first: usize, rows: &mut [Row]| {
                if let Some(to) = &to {
                    run_eight(Output { x, first, is_reversed: false, omega, rows: &mut *rows });
                    to.write(0, first, rows);
                }
            };
            scan((params, state), length, |t| t, &x, zero, emit, &mut scratch.of(worker));
        });
    }
}

/// SiLU(m + ω ⊙ x̂) of one token, m = Σ k[s] x̂[t − s] over the last inputs.
struct Window<'a> {
    /// The last inputs, `[lags, width]`, of which row `newest` is the present one and the row before it, cyclically, that
    /// of the lag 1.
    inputs: &'a [f32],
    kernel: &'a [f32],
    newest: usize,
    x: &'a [f32],
    omega: &'a [f32],
    to: &'a mut [f32],
}

impl Work for Window<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(mut self) {
        let width = self.x.len();
        let step = VECTORS * V::LANES;
        let many = width / step * step;
        let whole = width / V::LANES * V::LANES;
        (0..many).step_by(step).for_each(|first| self.columns::<V, VECTORS>(first, V::LANES));
        (many..whole).step_by(V::LANES).for_each(|first| self.columns::<V, 1>(first, V::LANES));
        if whole < width {
            self.columns::<V, 1>(whole, width - whole);
        }
    }
}

impl Window<'_> {
    /// `N` vectors of channels from `first` on, of which the vector has `lanes`: all, or those that are left.
    #[inline(always)]
    fn columns<V: Lanes, const N: usize>(&mut self, first: usize, lanes: usize) {
        let width = self.x.len();
        let at = |row: &[f32], vector: usize| {
            let from = &row[first + vector * V::LANES..];
            V::load(if lanes < V::LANES { &from[..lanes] } else { from })
        };
        // Lags 0 to `newest` lie before the present row, the later ones after it.
        let before = self.inputs[..(self.newest + 1) * width].chunks_exact(width).rev();
        let after = self.inputs[(self.newest + 1) * width..].chunks_exact(width).rev();
        let (recent, distant) = self.kernel.split_at(before.len() * width);
        let mut sums = [V::splat(0.0); N];
        for (kernel, inputs) in [(recent, before), (distant, after)] {
            for (taps, input) in kernel.chunks_exact(width).zip(inputs) {
                for (vector, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.mul_add(at(taps, vector), at(input, vector));
                }
            }
        }
        for (vector, sum) in sums.into_iter().enumerate() {
            let y = silu(sum.mul_add(at(self.omega, vector), at(self.x, vector)));
            let to = &mut self.to[first + vector * V::LANES..];
            y.store(if lanes < V::LANES { &mut to[..lanes] } else { to });
        }
    }
}
