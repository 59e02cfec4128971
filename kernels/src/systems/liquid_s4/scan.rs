//! The paper's recurrence on the CPU, eight channels at a time: h ← (Ā + B̄x) h + B̄x, s = 2·Re Σ C h + e x.

use mixer::{Case, Floats, Memory, MixerError};

use super::spec::Spec;
use super::ssm::Ssm;
use crate::ops::long_conv::GROUP;
use crate::ops::simd::{F32x4, LANES};

/// Time steps between changes of mode: a block of sums stays in the first-level cache.
const STEPS: usize = 64;

/// Floats of one mode of one group: Ā, B̄ and 2C, re and im.
const MODE: usize = 6 * GROUP;

/// Parameters of all groups, `[groups, modes, (Ā re, Ā im, B̄ re, B̄ im, 2C re, 2C im), GROUP]`.
pub(super) struct Scan {
    modes: usize,
    params: Floats,
}

/// Floats that [`Scan::new`] takes from the memory budget.
pub(super) fn floats(spec: &Spec) -> usize {
    spec.dims.d_model.div_ceil(GROUP) * spec.modes * MODE
}

/// Floats of one worker's scratch.
pub(super) fn scratch_floats(spec: &Spec) -> usize {
    STEPS * GROUP + spec.modes * 2 * GROUP
}

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
        Ok(Self { modes: spec.modes, params })
    }

    /// s without the skip at each time: `x(t)` are a group's inputs, `emit(t, s)` takes the sums.
    pub(super) fn run(
        &self,
        group: usize,
        length: usize,
        x: impl Fn(usize) -> [F32x4; 2],
        emit: impl Fn(usize, [F32x4; 2]),
        scratch: &mut [f32],
    ) {
        let params = &self.params[group * self.modes * MODE..][..self.modes * MODE];
        let (sums, states) = scratch.split_at_mut(STEPS * GROUP);
        let states = &mut states[..self.modes * 2 * GROUP];
        states.fill(0.0);
        for first in (0..length).step_by(STEPS) {
            let steps = STEPS.min(length - first);
            let (sums, _) = sums[..steps * GROUP].as_chunks_mut::<GROUP>();
            sums.iter_mut().for_each(|sum| sum.fill(0.0));
            for (params, state) in params.chunks_exact(MODE).zip(states.chunks_exact_mut(2 * GROUP)) {
                let param = |part: usize, half: usize| F32x4::load(&params[part * GROUP + half * LANES..]);
                let mut h: [[F32x4; 2]; 2] = std::array::from_fn(|half| {
                    [F32x4::load(&state[half * LANES..]), F32x4::load(&state[GROUP + half * LANES..])]
                });
                for (step, sum) in sums.iter_mut().enumerate() {
                    let x = x(first + step);
                    let (low, high) = sum.split_at_mut(LANES);
                    for (half, sum) in [low, high].into_iter().enumerate() {
                        let [re, im] = h[half];
                        let (b_re, b_im) = (param(2, half) * x[half], param(3, half) * x[half]);
                        let (a_re, a_im) = (param(0, half) + b_re, param(1, half) + b_im);
                        let next_re = (b_re - a_im * im).mul_add(a_re, re);
                        let next_im = b_im.mul_add(a_im, re).mul_add(a_re, im);
                        h[half] = [next_re, next_im];
                        let added = F32x4::load(sum).mul_add(param(4, half), next_re);
                        (added - param(5, half) * next_im).store(sum);
                    }
                }
                for (half, [re, im]) in h.into_iter().enumerate() {
                    re.store(&mut state[half * LANES..]);
                    im.store(&mut state[GROUP + half * LANES..]);
                }
            }
            for (step, sum) in sums.iter().enumerate() {
                emit(first + step, [F32x4::load(sum), F32x4::load(&sum[LANES..])]);
            }
        }
    }
}
