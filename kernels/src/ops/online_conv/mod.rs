//! Causal convolution of many channels with known filters, fed token by token or in pieces.
//!
//! y\[t\] = Σ_{i ≤ t} k[t − i] u\[i\], where u\[t\] may depend on y\[0\], …, y[t − 1]. Two methods:
//!
//! - [`Method::Direct`] keeps the inputs: a step multiplies all of them by the reversed filter, which takes O(t).
//! - [`Method::Online`] also keeps what the inputs so far contribute to later outputs. After a prompt, these sums are
//!   computed once. Then the s-th token (s = 1, 2, …) completes a block of the last 2ᵖ inputs, where 2ᵖ is the largest power
//!   of two that divides s, and the block's contributions to the next 2ᵖ outputs are added. Each pair of an input and a
//!   later output is covered once: p is the highest bit in which their numbers differ. A token takes O(log² s) on average,
//!   but the token at s = 2ᵖ takes O(p · 2ᵖ). This is relaxed multiplication with one known factor (van der Hoeven, *Relax,
//!   but don't be too lazy*, 2002); Flash Inference (Oncescu et al., arXiv 2410.12982) and FutureFill (Agarwal et al., arXiv
//!   2410.03766) apply it to long convolutions.

mod channels;
mod cost;
mod plan;
#[cfg(test)]
mod tests;

use mixer::{DecodeMemory, Floats, MixerError, Parallel};

pub use channels::Channels;
pub use cost::StepCost;

use plan::Plan;
pub use plan::Taps;

use super::grain::worth;
use super::long_conv::GROUP;
use super::scratch::Scratch;

/// How outputs are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// From all inputs.
    Direct,
    /// From sums to which each input is added in blocks.
    Online,
}

impl Method {
    /// The words of the parameter [`Method::PARAM`], the default first.
    pub const CHOICES: &'static [&'static str] = &["online", "direct"];

    /// The parameter of systems with long convolutions.
    pub const PARAM: &'static str = "decode_method";

    /// What the parameter means.
    pub const HELP: &'static str = "How long convolutions decode: in blocks by FFT, or over all inputs at each token; no effect on the forward pass";

    /// The method's word among [`Method::CHOICES`].
    pub fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Direct => "direct",
        }
    }

    /// Reads the method from a case's configuration.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`].
    pub fn read(config: &mixer::Params) -> Result<Self, MixerError> {
        let word = config.choice_or(Self::PARAM, Self::CHOICES)?;
        Ok(if word == "direct" { Self::Direct } else { Self::Online })
    }
}

/// Sizes of convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Sequences.
    pub batch: usize,
    /// Most tokens of a sequence, which is also the length of the filters.
    pub capacity: usize,
    /// Channels.
    pub width: usize,
    /// Convolutions of each channel.
    pub sets: usize,
}

impl Shape {
    /// Groups of [`GROUP`] channels.
    pub fn groups(&self) -> usize {
        self.width.div_ceil(GROUP)
    }

    /// Floats of a group's inputs, `[sets, batch, capacity, GROUP]`.
    fn group_floats(&self) -> usize {
        self.sets * self.batch * self.capacity * GROUP
    }

    /// Most tokens of a call: the largest power of two within the capacity.
    pub fn piece(&self) -> usize {
        1 << self.capacity.max(1).ilog2()
    }
}

/// Tokens that follow on those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Position of the first one.
    pub position: usize,
    /// Tokens of each sequence.
    pub count: usize,
}

/// Convolutions with their state.
#[derive(Debug)]
pub struct OnlineConv {
    plan: Plan,
    /// Inputs, `[groups, sets, batch, capacity, GROUP]`.
    history: Floats,
    sums: Option<Sums>,
    /// Tokens absorbed.
    filled: usize,
    /// Scratch of [`Plan::scratch_floats`] for each worker.
    scratch: Scratch,
}

/// What the inputs so far contribute to later outputs.
#[derive(Debug)]
struct Sums {
    /// As [`OnlineConv::history`], by the position of the output.
    now: Floats,
    marked: Floats,
    /// Position from which the blocks count.
    base: usize,
    marked_base: usize,
    marked_at: usize,
}

impl OnlineConv {
    /// An empty state.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(
        memory: &DecodeMemory,
        shape: Shape,
        method: Method,
        taps: Taps,
        threads: usize,
    ) -> Result<Self, MixerError> {
        let plan = Plan::new(&memory.work, shape, method, taps)?;
        let floats = shape.groups() * shape.group_floats();
        let sums = match method {
            Method::Direct => None,
            Method::Online => Some(Sums {
                now: memory.state.floats(floats)?,
                marked: memory.work.floats(floats)?,
                base: 0,
                marked_base: 0,
                marked_at: 0,
            }),
        };
        let history = memory.state.floats(floats)?;
        let scratch = Scratch::new(&memory.work, threads, Plan::scratch_floats(shape))?;
        Ok(Self { plan, history, sums, filled: 0, scratch })
    }

    /// Absorbs the tokens of `span`, which begins where the last one ended and has at most [`Shape::piece`] tokens. Runs
    /// `each` once for each group with the group's part of `parts`; it must call [`Channels::convolve`] once for each set.
    /// A single token allocates no buffer.
    pub fn advance<P>(
        &mut self,
        span: Span,
        parallel: &dyn Parallel,
        parts: impl Iterator<Item = P> + Send,
        each: impl Fn(&mut Channels<'_>, P) + Sync,
    ) {
        let (plan, scratch) = (&self.plan, &self.scratch);
        let shape = plan.shape;
        let base = self.sums.as_ref().map_or(0, |sums| sums.base);
        let floats = shape.group_floats();
        let history = self.history.chunks_exact_mut(floats);
        let sums = self.sums.as_mut().map_or(&mut [][..], |sums| &mut sums.now[..]);
        let sums = sums.chunks_exact_mut(floats).chain(std::iter::repeat_with(|| &mut [][..]));
        let parts = history.zip(sums).zip(parts).enumerate();
        let work = plan.multiply_adds(base, span);
        super::parts::for_each(
            worth(parallel, work),
            shape.groups(),
            parts,
            |(group, ((history, sums), part)), worker| {
                let mut scratch = scratch.of(worker);
                each(&mut Channels::new(plan, group, [history, sums], base, span, &mut scratch), part);
            },
        );
        self.filled = span.position + span.count;
        if let Some(sums) = &mut self.sums {
            sums.base = plan.next_base(base, span);
        }
    }

    /// Keeps the present state.
    pub fn mark(&mut self) {
        let from = self.filled;
        let capacity = self.plan.shape.capacity;
        if let Some(Sums { now, marked, base, marked_base, marked_at }) = &mut self.sums {
            (*marked_base, *marked_at) = (*base, from);
            copy_later(now, marked, capacity, from);
        }
    }

    /// Returns to the state that was marked at `position`. The inputs before it are still there.
    pub fn rewind(&mut self, position: usize) {
        self.filled = position;
        let capacity = self.plan.shape.capacity;
        if let Some(Sums { now, marked, base, marked_base, marked_at }) = &mut self.sums {
            *base = *marked_base;
            copy_later(marked, now, capacity, *marked_at);
        }
    }

    /// Forgets all tokens.
    pub fn clear(&mut self) {
        self.filled = 0;
        if let Some(sums) = &mut self.sums {
            sums.base = 0;
            sums.now.fill(0.0);
        }
    }
}

/// Copies the rows from position `first` on of panels `[capacity, GROUP]`.
fn copy_later(from: &[f32], to: &mut [f32], capacity: usize, first: usize) {
    let panels = from.chunks_exact(capacity * GROUP).zip(to.chunks_exact_mut(capacity * GROUP));
    for (from, to) in panels {
        to[first * GROUP..].copy_from_slice(&from[first * GROUP..]);
    }
}
