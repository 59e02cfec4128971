//! Recurrences of diagonal state-space models on the CPU, eight channels at a time: the paper's, h ← (Ā + B̄x) h + B̄x, or
//! that of a model without liquid terms, h ← Ā h + B̄x; s = 2·Re Σ C h + e x.

use mixer::{Case, Floats, Memory, MixerError};

use super::spec::{Liquid, Spec};
use super::ssm::Ssm;
use crate::ops::fft::Row;
use crate::ops::long_conv::GROUP;
use crate::ops::simd::{Lanes, Pair, Work, run_eight};
use crate::ops::stream::Stream;

/// Time steps per block and mode: a block of sums stays in the first-level cache.
const STEPS: usize = 64;

/// Floats of one mode of one group: Ā, B̄ and 2C, re and im each.
const MODE: usize = 6 * GROUP;

/// Parameters of all groups, `[groups, modes, (Ā re, Ā im, B̄ re, B̄ im, 2C re, 2C im), GROUP]`.
pub(super) struct Scan {
    modes: usize,
    /// Whether the input is part of the transition.
    liquid: bool,
    params: Floats,
}

/// Floats that [`Scan::new`] takes from the memory budget.
pub(super) fn floats(spec: &Spec) -> usize {
    spec.dims.d_model.div_ceil(GROUP) * spec.modes * MODE
}

/// Floats of the modes of a channel group, `[modes, (re, im), GROUP]`.
pub(super) fn state_floats(spec: &Spec) -> usize {
    spec.modes * 2 * GROUP
}

/// Scratch floats of one worker, without a state.
pub(super) const SCRATCH: usize = 2 * STEPS * GROUP;

impl Scan {
    pub(super) fn new(spec: &Spec, case: &Case, memory: &Memory) -> Result<Self, MixerError> {
        let ssm = Ssm::read(spec, &case.tensors)?;
        let mut params = memory.floats(floats(spec))?;
        for (channel, model) in ssm.channels.iter().enumerate() {
            let group = &mut params[channel / GROUP * spec.modes * MODE..];
            for ((mode, (a, b)), c) in group.chunks_exact_mut(MODE).zip(model.bilinear()).zip(&model.c[0]) {
                let values = [a.re, a.im, b.re, b.im, 2.0 * c.re, 2.0 * c.im];
                for (to, value) in mode[channel % GROUP..].iter_mut().step_by(GROUP).zip(values) {
                    *to = value as f32;
                }
            }
        }
        Ok(Self { modes: spec.modes, liquid: spec.liquid == Liquid::Recurrence, params })
    }

    /// s of group `group` of `length` rows of x, with the skip of its channels, from the modes `states` to those after the
    /// last row; `emit(t, s)` receives rows from time t on.
    pub(super) fn run(
        &self,
        group: usize,
        length: usize,
        (x, skip): (&Stream<'_>, &[f32]),
        states: &mut [f32],
        emit: impl Fn(usize, &mut [Row]),
        scratch: &mut [f32],
    ) {
        let params = &self.params[group * self.modes * MODE..][..self.modes * MODE];
        let (sums, inputs) = scratch[..SCRATCH].as_chunks_mut().0.split_at_mut(STEPS);
        let skip = Pair::load(&skip[group * GROUP..]);
        for first in (0..length).step_by(STEPS) {
            let steps = STEPS.min(length - first);
            let (sums, inputs) = (&mut sums[..steps], &mut inputs[..steps]);
            sums.fill([0.0; GROUP]);
            x.read(first, inputs);
            run_eight(Steps { params, liquid: self.liquid, states, sums, inputs });
            for (s, x) in sums.iter_mut().zip(inputs) {
                Pair::load(s).mul_add(skip, Pair::load(x)).store(s);
            }
            emit(first, sums);
        }
    }
}

/// A block of time steps of all modes of one channel group.
struct Steps<'a> {
    params: &'a [f32],
    liquid: bool,
    states: &'a mut [f32],
    sums: &'a mut [Row],
    inputs: &'a [Row],
}

/// Modes per step: their recurrences are chains of dependent operations, and two chains hide each other's latency. A
/// browser's sixteen registers of four lanes hold one.
const TOGETHER: usize = if cfg!(target_arch = "wasm32") { 1 } else { 2 };

impl Work for Steps<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        if self.liquid { self.modes::<V, true>() } else { self.modes::<V, false>() }
    }
}

impl Steps<'_> {
    #[inline(always)]
    fn modes<V: Lanes, const LIQUID: bool>(self) {
        let Self { params, states, sums, inputs, .. } = self;
        if let ([sum], [x]) = (&mut *sums, inputs) {
            return step_row::<V, LIQUID>(params, states, sum, x);
        }
        let (together, rest) = params.split_at(params.len() / (TOGETHER * MODE) * TOGETHER * MODE);
        let (together_states, rest_states) = states.split_at_mut(together.len() / MODE * 2 * GROUP);
        let pairs = together.chunks_exact(TOGETHER * MODE);
        for (params, states) in pairs.zip(together_states.chunks_exact_mut(TOGETHER * 2 * GROUP)) {
            step_modes::<V, TOGETHER, LIQUID>(params, states, sums, inputs);
        }
        for (params, states) in rest.chunks_exact(MODE).zip(rest_states.chunks_exact_mut(2 * GROUP)) {
            step_modes::<V, 1, LIQUID>(params, states, sums, inputs);
        }
    }
}

#[inline(always)]
fn step_modes<V: Lanes, const N: usize, const LIQUID: bool>(
    params: &[f32],
    states: &mut [f32],
    sums: &mut [Row],
    inputs: &[Row],
) {
    let mut h: [[V; 2]; N] =
        std::array::from_fn(|mode| [0, 1].map(|part| V::load(&states[(2 * mode + part) * GROUP..])));
    for (sum, x) in sums.iter_mut().zip(inputs) {
        let x = V::load(x);
        let mut total = V::load(sum);
        for (params, h) in params.chunks_exact(MODE).zip(&mut h) {
            total = step_mode::<V, LIQUID>(params, h, x, total);
        }
        total.store(sum);
    }
    for (mode, h) in h.into_iter().enumerate() {
        for (part, value) in h.into_iter().enumerate() {
            value.store(&mut states[(2 * mode + part) * GROUP..]);
        }
    }
}

/// One time step of one mode: h ← (Ā + B̄x) h + B̄x, without B̄x in the transition unless `LIQUID`. Returns `total` plus
/// 2·Re C h.
#[inline(always)]
fn step_mode<V: Lanes, const LIQUID: bool>(params: &[f32], h: &mut [V; 2], x: V, total: V) -> V {
    let param = |part: usize| V::load(&params[part * GROUP..]);
    let [re, im] = *h;
    let (b_re, b_im) = (param(2) * x, param(3) * x);
    let (a_re, a_im) = if LIQUID { (param(0) + b_re, param(1) + b_im) } else { (param(0), param(1)) };
    let next_re = b_re.mul_sub(a_im, im).mul_add(a_re, re);
    let next_im = b_im.mul_add(a_im, re).mul_add(a_re, im);
    *h = [next_re, next_im];
    total.mul_add(param(4), next_re).mul_sub(param(5), next_im)
}

/// Chains of sums of a single time step.
const CHAINS: usize = 4;

/// A single time step of all modes, as in decoding: nothing hides the latency of a sum over the modes but further sums.
#[inline(always)]
fn step_row<V: Lanes, const LIQUID: bool>(params: &[f32], states: &mut [f32], sum: &mut Row, x: &Row) {
    let x = V::load(x);
    let mut totals = [V::splat(0.0); CHAINS];
    let modes = params.chunks(CHAINS * MODE).zip(states.chunks_mut(CHAINS * 2 * GROUP));
    for (params, states) in modes {
        let modes = params.chunks_exact(MODE).zip(states.chunks_exact_mut(2 * GROUP));
        for ((params, states), total) in modes.zip(&mut totals) {
            let mut h = [V::load(states), V::load(&states[GROUP..])];
            *total = step_mode::<V, LIQUID>(params, &mut h, x, *total);
            h[0].store(states);
            h[1].store(&mut states[GROUP..]);
        }
    }
    let total = totals.into_iter().fold(V::load(sum), |sum, total| sum + total);
    total.store(sum);
}
