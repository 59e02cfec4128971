//! Closed forms of memory and of the mean step.

#![deny(clippy::arithmetic_side_effects)]

use mixer::Count;

use super::plan::{FIRST_BLOCK, Plan, is_transform_cheaper};
use super::{Method, Shape};
use crate::ops::fft::{Fft, real_fft_flops};
use crate::ops::long_conv::{GROUP, fft_size};

/// One step of all channels and sequences, as the mean over the tokens generated after a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepCost {
    /// Operations; a real transform of n points counts as 2.5 n log₂ n, as is customary.
    pub flops: Count,
    /// Operations executed: those of the transforms as they are, for whole groups of channels.
    pub executed_flops: Count,
    /// Bytes of inputs, sums and filters that are read or written.
    pub bytes: Count,
}

/// The sums of [`StepCost`] over tokens, for one channel.
#[derive(Default)]
struct Total {
    flops: Count,
    executed: Count,
    /// Floats of each sequence.
    state: Count,
    /// Floats that all sequences share.
    filter: Count,
}

impl Shape {
    /// Floats of the state, whole groups of channels.
    pub fn state_floats(&self, method: Method) -> Count {
        let panels = Count::from(self.groups()) * Count::from(GROUP);
        let [sets, batch, capacity] = Count::all([self.sets, self.batch, self.capacity]);
        let buffers = if method == Method::Online { 2 } else { 1 };
        buffers * panels * sets * batch * capacity
    }

    /// Floats of an [`super::OnlineConv`] for one thread, with the state.
    pub fn floats(&self, method: Method) -> Count {
        let state = self.state_floats(method);
        let marked = if method == Method::Online { state / 2 } else { Count::ZERO };
        Plan::floats(*self, method) + state + marked + Plan::scratch_floats(*self)
    }

    /// The mean step over `tokens` tokens that follow on a prompt of `context` tokens up to the capacity.
    pub fn step(&self, method: Method, context: usize, tokens: usize) -> StepCost {
        let total = match method {
            Method::Direct => direct(context, tokens),
            Method::Online => online(tokens),
        };
        let tokens = tokens.max(1) as u64;
        let [sets, batch, width] = Count::all([self.sets, self.batch, self.width]);
        let padded = width.next_multiple_of(GROUP as u64);
        StepCost {
            flops: sets * batch * width * total.flops / tokens,
            executed_flops: sets * batch * padded * total.executed / tokens,
            bytes: 4 * sets * width * (batch * total.state + total.filter) / tokens,
        }
    }
}

fn direct(context: usize, tokens: usize) -> Total {
    let [context, tokens] = Count::all([context, tokens]);
    let inputs = tokens * context + tokens * (tokens + 1) / 2;
    Total { flops: 2 * inputs, executed: 2 * inputs, state: inputs + tokens, filter: inputs }
}

fn online(tokens: usize) -> Total {
    let mut total = Total::default();
    for done in 1..=tokens {
        // Its own product; its sum is read, its input written.
        total.flops += Count::new(2);
        total.executed += Count::new(2);
        total.state += Count::new(2);
        total.filter += Count::new(1);
        let size = 1_usize.checked_shl(done.trailing_zeros()).unwrap_or(usize::MAX);
        let rows = size.min(tokens.saturating_sub(done));
        if rows == 0 {
            continue;
        }
        let [inputs, outputs] = Count::all([size, rows]);
        total.state += inputs + 2 * outputs;
        if size >= FIRST_BLOCK && is_transform_cheaper(size, 1, size, rows) {
            let n = Count::from(fft_size(size));
            total.flops += 2 * real_fft_flops(n) + 3 * n;
            total.executed += Fft::convolution_flops(fft_size(size));
            total.filter += n;
        } else {
            total.flops += 2 * inputs * outputs;
            total.executed += 2 * inputs * outputs;
            total.filter += inputs + outputs - 1;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use mixer::{DecodeMemory, Memory};

    use super::super::{OnlineConv, Taps};
    use super::*;

    const SHAPE: Shape = Shape { batch: 2, capacity: 300, width: 20, sets: 2 };

    #[test]
    fn stated_floats_are_allocated() {
        for method in [Method::Direct, Method::Online] {
            for capacity in [1, 7, 64, 300, 5000] {
                let shape = Shape { capacity, ..SHAPE };
                let memory = DecodeMemory::new(&Memory::new(1 << 30));
                let taps = Taps::new(&memory.work, shape, |_, _, _| 1.0).unwrap();
                let conv = OnlineConv::new(&memory, shape, method, taps, 1).unwrap();
                assert_eq!(4 * shape.floats(method).get(), memory.work.peak_bytes(), "{shape:?} {method:?}");
                assert_eq!(4 * shape.state_floats(method).get(), memory.state.used_bytes());
                drop(conv);
            }
        }
    }

    #[test]
    fn a_direct_step_reads_inputs_and_filter() {
        let step = SHAPE.step(Method::Direct, 100, 3);
        // 102 inputs on average.
        assert_eq!(step.flops.get(), 2 * 102 * 80);
        assert_eq!(step.executed_flops.get(), 2 * 102 * 96);
        assert_eq!(step.bytes.get(), 4 * (102 * 80 + 80 + 102 * 40));
    }

    /// Up to four tokens after a prompt: blocks of 1, 2, 1 inputs, the second of which has two outputs.
    #[test]
    fn an_online_step_adds_blocks() {
        let shape = Shape { batch: 1, width: 8, sets: 1, ..SHAPE };
        assert_eq!(shape.step(Method::Online, 100, 4).flops.get(), 8 * (4 * 2 + 2 + 2 * 2 * 2 + 2) / 4);
    }

    #[test]
    fn online_steps_grow_slowly() {
        let at = |tokens| SHAPE.step(Method::Online, 1 << 16, tokens).flops.get() as f64;
        assert!(at(4096) < 4.0 * at(256), "{} {}", at(4096), at(256));
        assert!(50.0 * at(4096) < SHAPE.step(Method::Direct, 1 << 16, 4096).flops.get() as f64);
    }
}
