//! What is looked at in a lane's output, on either backend: probes after every run, rows and finiteness after the timing.

use mixer::{Deviation, LaneError, SpotCheck, System};

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

/// Rows of a lane's output that were compared with the f64 reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Spotted {
    /// How far apart they are.
    pub deviation: Deviation,
    /// Which they are, of `[batch · length]`.
    pub rows: Vec<usize>,
}

/// Gathers the rows of a [`SpotCheck`] from an output that comes in pieces, and sees that all of it is finite.
pub(crate) struct Spotting {
    check: SpotCheck,
    width: usize,
    found: Vec<f32>,
    finite: Result<f64, LaneError>,
}

impl Spotting {
    pub(crate) fn new(check: SpotCheck) -> Self {
        // Rows that no piece holds stay NaN, and pass nowhere.
        let found = vec![f32::NAN; check.expected.len()];
        let width = check.expected.len() / check.rows.len().max(1);
        Self { check, width, found, finite: Ok(0.0) }
    }

    /// Takes the piece of the output that begins at `offset`.
    pub(crate) fn visit(&mut self, offset: usize, piece: &[f32]) {
        if self.finite.is_ok() {
            self.finite = finite_sum(piece, offset);
        }
        for (row, values) in self.check.rows.iter().zip(self.found.chunks_mut(self.width.max(1))) {
            copy_overlap(values, row * self.width, piece, offset);
        }
    }

    /// Compares.
    ///
    /// # Errors
    /// [`LaneError::NotFinite`].
    pub(crate) fn finish(self, system: &dyn System) -> Result<Spotted, LaneError> {
        self.finite?;
        let mut deviation =
            system.info().tolerance.compare_rows(&self.found, &self.check.expected, self.width);
        // Nothing compared is nothing verified.
        deviation.pass &= !self.check.expected.is_empty();
        Ok(Spotted { deviation, rows: self.check.rows })
    }
}

/// Copies what `to`, which begins at `to_start`, and `from`, which begins at `from_start`, have in common.
fn copy_overlap(to: &mut [f32], to_start: usize, from: &[f32], from_start: usize) {
    let start = to_start.max(from_start);
    let end = (to_start + to.len()).min(from_start + from.len());
    if start < end {
        to[start - to_start..end - to_start].copy_from_slice(&from[start - from_start..end - from_start]);
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

    #[test]
    fn fault_11_no_rows_and_rows_that_do_not_come_verify_nothing() {
        let system = kernels::find("attention").unwrap();
        let pass = |check: SpotCheck, output: &[f32]| {
            let mut spotting = Spotting::new(check);
            spotting.visit(0, output);
            spotting.finish(system).unwrap().deviation.pass
        };
        let row = SpotCheck { rows: vec![1], expected: vec![1.0, 2.0] };
        assert!(pass(row.clone(), &[0.0, 0.0, 1.0, 2.0]));
        assert!(!pass(row.clone(), &[1.0, 2.0, 0.0, 0.0]));
        assert!(!pass(row, &[1.0, 2.0]));
        assert!(!pass(SpotCheck::default(), &[1.0, 2.0]));
    }

    #[test]
    fn a_row_is_gathered_from_the_pieces_that_it_spans() {
        let mut row = [0.0; 4];
        copy_overlap(&mut row, 6, &[1.0; 8], 0);
        assert_eq!(row, [1.0, 1.0, 0.0, 0.0]);
        copy_overlap(&mut row, 6, &[2.0; 8], 8);
        assert_eq!(row, [1.0, 1.0, 2.0, 2.0]);
        copy_overlap(&mut row, 6, &[3.0; 8], 16);
        assert_eq!(row, [1.0, 1.0, 2.0, 2.0]);
    }
}
