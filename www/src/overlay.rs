//! Several reports in one chart. A lane has the same colour and shape in all reports, and each report has its own line
//! style and letter.

use report::compare::Comparison;
use report::{Report, SystemEntry};

use crate::text::Text;
use chart::lanes::{self, Look};

/// Most reports at once, the number of line styles.
pub const MAX_REPORTS: usize = 8;

/// The letter of a report: A, B, C…
pub fn letter(report: usize) -> String {
    char::from(b'A' + (report % 26) as u8).to_string()
}

/// All lanes of `reports` as one report for the chart, and their looks. The report is for drawing only: its
/// configuration is the first report's, with the lengths of all reports.
pub fn merged(
    reports: &[&Report],
    comparison: &Comparison,
    systems: &[SystemEntry],
    text: &Text,
) -> Option<(Report, Vec<Look>)> {
    let first = *reports.first()?;
    // One lane of each kind determines colours, shapes and names.
    let kinds = comparison.lanes.iter().filter_map(|lane| {
        let (report, index) = lane.at.iter().enumerate().find_map(|(report, at)| Some((report, (*at)?)))?;
        reports.get(report)?.lanes.get(index).cloned()
    });
    let mut one_each = Report { lanes: kinds.collect(), ..first.clone() };
    one_each.crossovers.clear();
    let kinds = lanes::looks(&one_each, systems, text.words);

    let mut all = Report { lanes: Vec::new(), crossovers: Vec::new(), warnings: Vec::new(), ..first.clone() };
    let mut looks = Vec::new();
    for (series, report) in reports.iter().enumerate() {
        let offset = all.lanes.len();
        for (index, lane) in report.lanes.iter().enumerate() {
            let kind = comparison.lanes.iter().position(|known| known.at.get(series) == Some(&Some(index)));
            let Some(look) = kind.and_then(|kind| kinds.get(kind)) else { continue };
            looks.push(Look {
                filled: lane.backend != "cpu",
                label: format!("{} {}", letter(series), look.label),
                baseline: None,
                series,
                ..look.clone()
            });
            all.lanes.push(lane.clone());
        }
        all.crossovers.extend(report.crossovers.iter().map(|crossover| report::Crossover {
            challenger: crossover.challenger + offset as u32,
            baseline: crossover.baseline + offset as u32,
            ..*crossover
        }));
        all.config.lengths.extend(&report.config.lengths);
    }
    all.config.lengths.sort_unstable();
    all.config.lengths.dedup();
    Some((all, looks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::text::ENGLISH;
    use chart::{Metric, Options, scene, svg};

    #[test]
    fn lanes_share_colours_and_reports_have_own_lines() {
        let (mine, mut theirs) = (samples::duel(), samples::duel());
        theirs.lanes.swap(0, 1);
        theirs.config.systems.swap(0, 1);
        theirs.crossovers.clear();
        let reports = [&mine, &theirs];
        let (all, looks) = merged(&reports, &Comparison::new(&reports), &[], &ENGLISH).unwrap();
        assert_eq!((all.lanes.len(), looks.len()), (4, 4));
        assert_eq!((looks[0].slot, looks[1].slot), (looks[3].slot, looks[2].slot));
        assert_eq!(looks.iter().map(|look| look.series).collect::<Vec<_>>(), [0, 0, 1, 1]);
        assert!(looks[0].label.starts_with("A ") && looks[3].label.starts_with("B "));
        let options =
            Options { width: 900.0, height: 420.0, metric: Metric::Time, hidden: vec![], emphasis: None };
        let marks = svg::marks(&scene(&all, &looks, &options, ENGLISH.words));
        assert!(marks.contains(" r1\"") && !marks.contains("NaN"), "{marks}");
    }

    #[test]
    fn an_empty_comparison_has_no_overlay() {
        assert!(merged(&[], &Comparison::new(&[]), &[], &ENGLISH).is_none());
        assert_eq!((letter(0), letter(7)), ("A".to_owned(), "H".to_owned()));
    }
}
