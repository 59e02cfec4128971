//! Checks of a lane's output, on either backend: probes after every run; after the timing, finiteness and comparison of parts.

use mixer::{Deviation, LaneError, SpotCheck, SpotFound, System};

/// Words read from each of the output's beginning, middle and end after every run.
const PROBE_WORDS: usize = 1024;

/// The beginning, middle and end of an output, or all of it where it is small: offsets and lengths.
pub(crate) fn probes(words: usize) -> Vec<(usize, usize)> {
    if words <= 3 * PROBE_WORDS {
        return vec![(0, words)];
    }
    [0, (words - PROBE_WORDS) / 2, words - PROBE_WORDS].map(|offset| (offset, PROBE_WORDS)).to_vec()
}

/// Sum of values, the first of which is at `offset`; refuses NaN and infinities, which a comparison of times would hide.
pub(crate) fn finite_sum(values: &[f32], offset: usize) -> Result<f64, LaneError> {
    match values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((index, &value)) => Err(LaneError::NotFinite { index: offset + index, value }),
        None => Ok(values.iter().map(|&value| f64::from(value)).sum()),
    }
}

/// Parts of a lane's output that were compared with the f64 reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Spotted {
    /// How far apart they are.
    pub deviation: Deviation,
    /// Which they are, and what they should be.
    pub check: SpotCheck,
}

/// Gathers what a [`SpotCheck`] looks at from an output that comes in pieces, and sees that all of it is finite.
pub(crate) struct Spotting<'a> {
    found: SpotFound<'a>,
    finite: Result<f64, LaneError>,
}

impl<'a> Spotting<'a> {
    pub(crate) fn new(check: &'a SpotCheck) -> Self {
        Self { found: SpotFound::new(check), finite: Ok(0.0) }
    }

    /// Takes the piece of the output that begins at `offset`.
    pub(crate) fn visit(&mut self, offset: usize, piece: &[f32]) {
        if self.finite.is_ok() {
            self.finite = finite_sum(piece, offset);
        }
        self.found.visit(offset, piece);
    }

    /// Compares.
    ///
    /// # Errors
    /// [`LaneError::NotFinite`].
    pub(crate) fn finish(self, system: &System) -> Result<Deviation, LaneError> {
        self.finite?;
        Ok(self.found.compare(system.info().tolerance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_cover_small_outputs_and_the_ends_of_large_ones() {
        assert_eq!(probes(0), [(0, 0)]);
        assert_eq!(probes(3072), [(0, 3072)]);
        assert_eq!(probes(10_000), [(0, 1024), (4488, 1024), (8976, 1024)]);
    }
}
