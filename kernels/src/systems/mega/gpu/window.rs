//! A step of a truncated average: no finite recurrence, so the state is a ring of the last inputs.

use mixer::{Access, BufferId, Count, MixerError, Shader};

use super::super::ema;
use super::super::spec::EmaSpec;
use crate::ops::gpu::{Builder, Clock, Columns, INVOCATION_TURNS, Stream, copy, word};

const READ: Access = Access::Read;

const WINDOW: Shader = Shader {
    label: "window",
    source: wgsl!("systems/mega/window.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, READ, Access::ReadWrite],
};

/// Channels of a workgroup, and threads that share a channel's lags.
const PARTS: usize = 16;

/// The kernel on the device.
#[derive(Clone, Copy)]
pub struct Window {
    batch: usize,
    width: usize,
    lags: usize,
    /// `[lags, width]`.
    kernel: Stream,
}

impl Window {
    /// Uploads the average's kernel, `[lags, width]`.
    ///
    /// # Errors
    /// [`MixerError::NeedsLimit`] where an invocation would take too many loop iterations.
    pub fn upload(
        builder: &mut Builder,
        spec: &EmaSpec,
        dimensions: &[ema::Dimension],
    ) -> Result<Self, MixerError> {
        let (batch, width, lags) = (spec.dims.batch, spec.dims.d_model, spec.lags());
        if lags.div_ceil(PARTS) > INVOCATION_TURNS {
            return Err(MixerError::NeedsLimit {
                limit: "loop turns of an invocation".to_owned(),
                needed: lags.div_ceil(PARTS) as u64,
                available: INVOCATION_TURNS as u64,
            });
        }
        let stride = Columns::plain(width).stride();
        let mut taps = builder.zeros(Count::from(lags) * Count::from(stride)).unwrap_or_default();
        if !taps.is_empty() {
            for (channel, dimensions) in dimensions.chunks_exact(spec.n).enumerate() {
                let to = taps[channel..].iter_mut().step_by(stride);
                to.zip(ema::kernel(dimensions, lags)).for_each(|(to, tap)| *to = tap as f32);
            }
        }
        Ok(Self { batch, width, lags, kernel: builder.upload_padded("kernel", taps, stride) })
    }

    /// Room for the last inputs, `[batch, lags]` rows.
    pub fn room(&self, builder: &mut Builder, label: &'static str) -> Stream {
        builder.stream(label, self.batch * self.lags, Columns::plain(self.width))
    }

    /// Records a copy of the last of `length` rows of every sequence.
    pub fn save(&self, builder: &mut Builder, x: Stream, length: usize, ring: Stream) {
        let first = length.saturating_sub(self.lags);
        // The ring begins anew at multiples of its rows.
        let turn = (length / self.lags * self.lags).max(first);
        for sequence in 0..self.batch {
            for rows in [first..turn, turn..length].into_iter().filter(|rows| !rows.is_empty()) {
                let from = x.down(sequence * length + rows.start);
                let to = ring.down(sequence * self.lags + rows.start % self.lags);
                copy(builder, from, to, [rows.len(), x.stride]);
            }
        }
    }

    /// Records one step of every sequence; x and y are `[batch]` rows.
    pub fn step(&self, builder: &mut Builder, clock: Clock, omega: BufferId, [x, ring, y]: [Stream; 3]) {
        clock.append(builder, (x, 1), (ring, self.lags), ring.stride, true);
        builder.dispatch(
            WINDOW,
            &[],
            &[self.width, self.lags, ring.stride, y.stride].map(word),
            &[clock.buffer, self.kernel.buffer, ring.buffer, omega, y.buffer],
            [self.width.div_ceil(PARTS), self.batch, 1],
            2 * (self.batch * self.lags) as u64 * self.width as u64,
        );
    }
}
