//! Eight channels of a stream, read through a short causal convolution on the fly.

use super::long_conv::GROUP;
use super::simd::{F32x4, LANES};

/// Eight channels of one stream of one sequence.
#[derive(Debug, Clone, Copy)]
pub struct Stream<'a> {
    /// From the group's first float at time 0 on.
    pub floats: &'a [f32],
    /// Floats between one time and the next.
    pub stride: usize,
    /// Channels that exist, at most [`GROUP`].
    pub columns: usize,
    /// `[taps + 1, GROUP]`, the bias last; empty where the stream is used as it is.
    pub short: &'a [f32],
}

impl Stream<'_> {
    /// The stream at time `t`, through the short convolution if there is one.
    #[inline(always)]
    pub fn at(&self, t: usize) -> [F32x4; 2] {
        let load = |t: usize| {
            let row = &self.floats[t * self.stride..][..self.columns];
            [F32x4::load(row), F32x4::load(row.get(LANES..).unwrap_or(&[]))]
        };
        let (short, _) = self.short.as_chunks::<GROUP>();
        let Some((bias, taps)) = short.split_last() else { return load(t) };
        let mut sum = [F32x4::load(bias), F32x4::load(&bias[LANES..])];
        // The last tap multiplies the present; taps that would reach before the start see nothing.
        for (age, tap) in taps.iter().rev().enumerate().take(t + 1) {
            let p = load(t - age);
            sum[0] = sum[0].mul_add(p[0], F32x4::load(tap));
            sum[1] = sum[1].mul_add(p[1], F32x4::load(&tap[LANES..]));
        }
        sum
    }
}
