//! Upgrades reports of older formats. Verdicts and intervals that they lack stay absent, since they cannot be computed
//! from the report.

use crate::{Crossover, CrossoverKind, Report};

/// First format in which crossovers can be bounds.
const WITH_BOUNDS: u32 = 2;
/// Ratio by which a link's rounding may change a length.
const ROUNDING: f64 = 1.004;

impl Report {
    /// The report in this version's format. In format 1, a challenger that is ahead at the shortest length has a
    /// "measured" crossover there, which is in fact an upper bound.
    #[must_use]
    pub(crate) fn upgraded(mut self) -> Self {
        if self.schema < WITH_BOUNDS {
            let bounds: Vec<Option<u32>> =
                self.crossovers.iter().map(|crossover| self.led_from(crossover)).collect();
            for (crossover, bound) in self.crossovers.iter_mut().zip(bounds) {
                if let Some(bound) = bound {
                    *crossover = Crossover {
                        kind: CrossoverKind::AtMost,
                        estimate: Some(f64::from(bound)),
                        ..*crossover
                    }
                    .with_bound();
                }
            }
        }
        self.schema = self.config.schema();
        self
    }

    /// The shortest length that both lanes have measured, if format 1 placed the crossover there.
    pub(crate) fn led_from(&self, crossover: &Crossover) -> Option<u32> {
        let at = crossover.estimate.filter(|_| crossover.kind == CrossoverKind::Measured)?;
        let shortest = self.shortest_common(crossover)?;
        (at <= f64::from(shortest) * ROUNDING).then_some(shortest)
    }

    /// The shortest length that both lanes of a crossover have measured.
    pub fn shortest_common(&self, crossover: &Crossover) -> Option<u32> {
        let challenger = self.lanes.get(crossover.challenger as usize)?;
        let baseline = self.lanes.get(crossover.baseline as usize)?;
        let both = |length: &u32| baseline.measured_lengths().any(|other| other == *length);
        challenger.measured_lengths().find(both)
    }
}

impl Crossover {
    /// The crossover in this version's format: both ends of a bound's interval are the bound.
    pub(crate) fn with_bound(self) -> Self {
        match self.kind {
            CrossoverKind::AtMost => Self { low: self.estimate, high: self.estimate, ..self },
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;

    /// The sample in format 1 with a crossover measured at `at`.
    fn old(at: f64) -> Report {
        let mut report = report();
        report.schema = 1;
        let crossover = &mut report.crossovers[0];
        (crossover.kind, crossover.estimate) = (CrossoverKind::Measured, Some(at));
        (crossover.low, crossover.high) = (Some(at), Some(at * 1.2));
        report
    }

    #[test]
    fn a_lead_from_the_shortest_length_becomes_a_bound() {
        for at in [256.0, 256.5, 255.5] {
            let upgraded = old(at).upgraded();
            let Crossover { kind, estimate, low, high, .. } = upgraded.crossovers[0];
            assert_eq!(
                (kind, estimate, low, high),
                (CrossoverKind::AtMost, Some(256.0), Some(256.0), Some(256.0))
            );
            assert_eq!(upgraded.schema, 2);
            assert_eq!(upgraded.validate(), Ok(()));
        }
        let between = old(300.0).upgraded();
        assert_eq!(
            (between.crossovers[0].kind, between.crossovers[0].estimate),
            (CrossoverKind::Measured, Some(300.0))
        );
    }

    #[test]
    fn new_crossovers_at_the_shortest_length_stay_measured() {
        let mut report = old(256.0);
        report.schema = report.config.schema();
        assert_eq!(report.clone().upgraded(), report);
    }

    #[test]
    fn a_report_of_format_1_is_read_without_verdicts() {
        let text = include_str!("../tests/fixtures/v1-report.json");
        let read = Report::from_json(text).unwrap();
        assert!(text.contains("\"schema\": 1") && !text.contains("versus"));
        assert_eq!(read.schema, 2);
        assert!(read.lanes.iter().flat_map(|lane| &lane.points).all(|point| {
            point.versus.is_none() && point.low_ms.is_none() && point.set_ups == 0 && !point.full_attention
        }));
    }
}
