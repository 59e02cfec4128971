//! Checks of a lane's output on either backend: probes after every run, and after the timing a check for finite values
//! and a comparison of parts.

use mixer::{Deviation, LaneError, SpotCheck, SpotFound, System};

/// Words read from the output's beginning, middle and end each, after every run.
const PROBE_WORDS: usize = 1024;

/// Offsets and lengths of the beginning, middle and end of an output, or of all of it where it is small.
pub(crate) fn probes(words: usize) -> Vec<(usize, usize)> {
    if words <= 3 * PROBE_WORDS {
        return vec![(0, words)];
    }
    [0, (words - PROBE_WORDS) / 2, words - PROBE_WORDS].map(|offset| (offset, PROBE_WORDS)).to_vec()
}

/// Sum of values, the first of which is at `offset`. Refuses NaN and infinities.
pub(crate) fn finite_sum(values: &[f32], offset: usize) -> Result<f64, LaneError> {
    match values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((index, &value)) => Err(LaneError::NotFinite { index: offset + index, value }),
        None => Ok(values.iter().map(|&value| f64::from(value)).sum()),
    }
}

/// Parts of a lane's output that were compared with the f64 reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Spotted {
    /// The deviation of the parts.
    pub deviation: Deviation,
    /// The parts and their expected values.
    pub check: SpotCheck,
}

/// Collects the values of a [`SpotCheck`] from an output in pieces, and checks that the whole output is finite.
pub(crate) struct Spotting<'a> {
    found: SpotFound<'a>,
    finite: Result<f64, LaneError>,
}

impl<'a> Spotting<'a> {
    pub(crate) fn new(check: &'a SpotCheck) -> Self {
        Self { found: SpotFound::new(check), finite: Ok(0.0) }
    }

    /// Adds the piece of the output that begins at `offset`.
    pub(crate) fn visit(&mut self, offset: usize, piece: &[f32]) {
        if self.finite.is_ok() {
            self.finite = finite_sum(piece, offset);
        }
        self.found.visit(offset, piece);
    }

    /// Compares the collected values.
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
