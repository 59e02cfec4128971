//! A comparison as HTML: the reports, their differences, the first crossover, times with their ratios. Static text and
//! tables are smaller as HTML text than as components. Text from reports is escaped. A button's action is in its
//! `data-act` and `data-key`.

use std::fmt::Write as _;

use report::compare::{Comparison, First, Found, Ratio};
use report::{CrossoverKind, Report};

use crate::overlay::letter;
use crate::table;
use crate::text::Text;
use chart::Metric;
use chart::comparison;
use chart::format;
use chart::svg::escape;

/// A compared report with its name.
pub struct Named<'a> {
    /// Number that identifies the report.
    pub key: u32,
    /// Its name.
    pub name: &'a str,
    /// The report.
    pub report: &'a Report,
}

/// The list of reports with their letters and line styles, and buttons to open and remove them.
pub fn entries(all: &[Named], text: &Text) -> String {
    let travel = text.travel;
    let mut out = format!(r#"<ul class="entries" aria-label="{}">"#, escape(travel.compare_reports));
    for (index, entry) in all.iter().enumerate() {
        let (key, name) = (entry.key, escape(entry.name));
        let _ = write!(
            out,
            r#"<li data-testid="compared"><b class="letter">{letter}</b><svg class="lane r{index}" viewBox="0 0 40 12" width="40" height="12" aria-hidden="true"><path class="line" d="M1 6h38"/></svg><span class="entry-name">{name}</span><button type="button" class="quiet" data-act="open" data-key="{key}" aria-label="{open_of}">{open}</button><button type="button" class="quiet icon small" data-act="remove" data-key="{key}" data-testid="compare-remove" aria-label="{remove_of}"><svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><path d="M2 2l8 8M10 2l-8 8"/></svg></button></li>"#,
            letter = letter(index),
            open_of = escape(&(travel.open_of)(entry.name)),
            open = escape(travel.open),
            remove_of = escape(&(travel.remove_of)(entry.name)),
        );
    }
    out + "</ul>"
}

/// Differences that make the numbers incomparable; an empty string without any.
pub fn differences(comparison: &Comparison, text: &Text) -> String {
    let travel = text.travel;
    if comparison.differences.is_empty() {
        return String::new();
    }
    let severe = comparison.differences.iter().any(|difference| difference.field.other_work());
    let mut out = format!(
        r#"<div class="notice {}" data-testid="differences"><div><strong>{}</strong><ul>"#,
        if severe { "bad" } else { "warn" },
        escape(if severe { travel.other_work } else { travel.other_conditions })
    );
    for difference in &comparison.differences {
        let values: Vec<String> = difference
            .values
            .iter()
            .enumerate()
            .map(|(index, value)| format!("{} {}", letter(index), (travel.value)(value).unwrap_or(value)))
            .collect();
        let line = format!("{}: {}", (travel.field)(difference.field), values.join(", "));
        let _ = write!(out, "<li>{}</li>", escape(&line));
    }
    out + "</ul></div></div>"
}

/// Which report's crossover comes first; an empty string where no report has one.
pub fn crossings(comparison: &Comparison, text: &Text) -> String {
    let travel = text.travel;
    if comparison.crossings.is_empty() {
        return String::new();
    }
    let mut out = format!(
        r#"<h3>{}</h3><ul class="crossings" data-testid="crossings">"#,
        escape(travel.compare_crossovers)
    );
    for crossing in &comparison.crossings {
        let all: Vec<String> = crossing
            .found
            .iter()
            .enumerate()
            .filter_map(|(index, there)| Some(found(&letter(index), there.as_ref()?, text)))
            .collect();
        let verdict = match crossing.first {
            First::Report(index) => (travel.comes_first)(&letter(index)),
            First::Close => travel.comes_close.to_owned(),
            First::Unknown => String::new(),
        };
        let title = comparison.lanes.get(crossing.lane).map_or("", |lane| &lane.title);
        let _ = write!(
            out,
            "<li><b>{}</b><span>{}</span><em>{}</em></li>",
            escape(title),
            escape(&all.join("; ")),
            escape(&verdict)
        );
    }
    out + "</ul>"
}

fn found(name: &str, found: &Found, text: &Text) -> String {
    let about = format::length_about;
    match (found.kind, found.estimate) {
        (CrossoverKind::Undecided, _) => (text.travel.crossover_undecided)(name),
        (_, None) => (text.travel.crossover_none)(name),
        (CrossoverKind::Predicted, Some(length)) => (text.travel.crossover_predicted)(name, &about(length)),
        (kind, Some(length)) => {
            // A bound has no interval.
            let interval = found
                .interval
                .filter(|_| kind != CrossoverKind::AtMost)
                .map_or_else(String::new, |(low, high)| (text.words.interval)(&about(low), &about(high)));
            (text.travel.crossover_at)(name, &format::crossover_length(length, kind), &interval)
        }
    }
}

/// Values and ratios, a row for each report's lane: the tabular form of the chart.
pub fn ratios(all: &[Named], comparison: &Comparison, metric: Metric, text: &Text) -> String {
    let reports: Vec<&Report> = all.iter().map(|entry| entry.report).collect();
    let mode = reports.first().map(|report| report.config.mode).unwrap_or_default();
    let mut out = format!(
        r#"<h3 id="ratios-title">{}</h3><div class="scroll" tabindex="0" role="group" aria-labelledby="ratios-title"><table data-testid="compare-table"><thead><tr><th scope="col">{}</th>"#,
        escape(if metric == Metric::Time {
            text.travel.compare_table
        } else {
            metric.axis(mode, text.words)
        }),
        escape(text.col_lane)
    );
    for length in &comparison.lengths {
        let _ = write!(out, r#"<th scope="col" class="num">{}</th>"#, format::length(f64::from(*length)));
    }
    let _ =
        write!(out, r#"<th scope="col" class="num">{}</th></tr></thead><tbody>"#, escape(text.col_growth));
    for (index, lane) in comparison.lanes.iter().enumerate() {
        let columns: Vec<_> =
            comparison.lengths.iter().map(|length| comparison.ratios(&reports, index, *length)).collect();
        for report in (0..reports.len()).filter(|report| lane.at[*report].is_some()) {
            let backend = lane.backends[report].as_deref().map_or("", |backend| text.words.backend(backend));
            let _ = write!(
                out,
                r#"<tr{}><th scope="row"><b class="letter">{}</b> {} <small>{}</small></th>"#,
                if report == 0 { r#" class="first""# } else { "" },
                letter(report),
                escape(&lane.title),
                escape(backend)
            );
            let own = lane.at[report].and_then(|at| reports[report].lanes.get(at));
            for (length, column) in comparison.lengths.iter().zip(&columns) {
                let value = own
                    .and_then(|own| comparison::measured(own, *length))
                    .and_then(|point| metric.reading(point, reports[report]))
                    .map(|reading| metric.format(reading.value));
                // A ratio of memory would read like a speed-up.
                let ratio = column[report].as_ref().filter(|_| metric.has_spread());
                let full = own
                    .and_then(|own| comparison::measured(own, *length))
                    .is_some_and(|point| point.full_attention);
                cell(&mut out, value.as_deref(), ratio, full, text);
            }
            match own.and_then(table::growth) {
                Some((exponent, interval)) => {
                    let _ = write!(
                        out,
                        r#"<td class="num"><b class="power">L<sup>{}</sup></b><small>{}</small></td></tr>"#,
                        escape(&exponent),
                        escape(&interval)
                    );
                }
                None => out.push_str(r#"<td class="num pending">–</td></tr>"#),
            }
        }
    }
    let _ = write!(
        out,
        r#"</tbody></table></div><p class="muted note">{}</p><p><button type="button" class="quiet framed" data-act="clear" data-testid="compare-clear">{}</button></p>"#,
        escape(&(text.travel.compare_against)("A")),
        escape(text.travel.compare_clear)
    );
    out
}

fn cell(out: &mut String, value: Option<&str>, ratio: Option<&Ratio>, full_attention: bool, text: &Text) {
    let Some(value) = value else {
        let _ = write!(out, r#"<td class="num pending">{}</td>"#, format::NONE);
        return;
    };
    let _ = write!(out, r#"<td class="num"><b>{}</b>"#, escape(value));
    if let Some(speedup) = ratio.and_then(|ratio| ratio.speedup) {
        let ahead = if comparison::is_ahead(speedup) { " ahead" } else { "" };
        let interval = comparison::interval(speedup, text.words)
            .map_or_else(String::new, |interval| format!(r#" title="{}""#, escape(&interval)));
        let _ = write!(
            out,
            r#"<small class="versus{ahead}"{interval}>{}</small>"#,
            escape(&comparison::words(speedup, text.words))
        );
    }
    if full_attention {
        let _ = write!(
            out,
            r#"<small class="tag" title="{}">{}</small>"#,
            escape(text.full_attention_note),
            escape(text.full_attention)
        );
    }
    out.push_str("</td>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::text::{CHINESE, ENGLISH, LANGUAGES};

    /// All parts of a comparison of two samples, in one element.
    fn all(reports: &[&Report], names: &[&str], text: &Text) -> String {
        let named: Vec<Named> = (1..)
            .zip(reports.iter().zip(names))
            .map(|(key, (report, name))| Named { key, name, report })
            .collect();
        let comparison = Comparison::new(reports);
        format!(
            "<div>{}{}{}{}</div>",
            entries(&named, text),
            differences(&comparison, text),
            crossings(&comparison, text),
            ratios(&named, &comparison, Metric::Time, text)
        )
    }

    #[test]
    fn every_view_has_its_table_with_growth() {
        let report = samples::duel();
        let named = [("mine", 1), ("theirs", 2)].map(|(name, key)| Named { key, name, report: &report });
        let comparison = Comparison::new(&[&report, &report]);
        let growth = table::growth(&report.lanes[0]).unwrap().0;
        for &metric in Metric::views(report.config.mode) {
            let markup = format!("<div>{}</div>", ratios(&named, &comparison, metric, &ENGLISH));
            let document = roxmltree::Document::parse(&markup).unwrap();
            let reading = metric.reading(&report.lanes[1].points[2], &report).map(|r| metric.format(r.value));
            let elements = || document.descendants().filter(roxmltree::Node::is_element);
            let found = |wanted: &str| elements().filter(|node| node.text() == Some(wanted)).count();
            assert!(reading.as_deref().is_none_or(|reading| found(reading) >= 2), "{metric:?}");
            assert_eq!(found(&growth), 2);
            let worded = markup.contains("about equal");
            assert_eq!(worded, metric.has_spread() && reading.is_some(), "{metric:?}");
        }
    }

    #[test]
    fn decode_races_are_compared_in_their_own_words() {
        let report = samples::decode();
        let named = [("mine", 1), ("theirs", 2)].map(|(name, key)| Named { key, name, report: &report });
        let comparison = Comparison::new(&[&report, &report]);
        for (text, state) in [(&ENGLISH, "State of the whole batch"), (&CHINESE, "整个批次的状态大小")]
        {
            for &metric in Metric::views(report.config.mode) {
                let markup = ratios(&named, &comparison, metric, text);
                assert!(!markup.contains("forward") && !markup.contains("前向"), "{markup}");
                assert_eq!(markup.contains(state), metric == Metric::State, "{metric:?}");
            }
        }
        // Reports of both modes: other work, and no ratios.
        let duel = samples::duel();
        let mixed = all(&[&report, &duel], &["mine", "theirs"], &ENGLISH);
        assert!(mixed.contains(ENGLISH.travel.other_work) && !mixed.contains("faster"), "{mixed}");
    }

    #[test]
    fn every_language_says_who_is_faster_and_crosses_first() {
        let (mine, mut theirs) = (samples::duel(), samples::duel());
        theirs.config.width = 512;
        for point in theirs.lanes.iter_mut().flat_map(|lane| &mut lane.points) {
            for time in [
                &mut point.min_ms,
                &mut point.q1_ms,
                &mut point.median_ms,
                &mut point.q3_ms,
                &mut point.low_ms,
                &mut point.high_ms,
            ] {
                *time = time.map(|ms| ms / 2.0);
            }
        }
        for text in LANGUAGES {
            let markup = all(&[&mine, &theirs], &["mine", "theirs"], text);
            let document =
                roxmltree::Document::parse(&markup).unwrap_or_else(|error| panic!("{error}: {markup}"));
            let rows = document.descendants().filter(|node| node.has_tag_name("tr"));
            assert_eq!(rows.count(), 5);
            assert!(markup.contains(&(text.words.faster)("2.0×")) && markup.contains("512"), "{markup}");
            assert!(markup.contains(text.travel.other_work) && markup.contains("Hyena"));
            assert!(!markup.contains("NaN"));
        }
    }

    #[test]
    fn verdicts_need_both_intervals_and_full_attention_is_marked() {
        let (mine, mut theirs) = (samples::duel(), samples::duel());
        for lane in &mut theirs.lanes {
            for point in &mut lane.points {
                (point.low_ms, point.high_ms, point.versus) = (None, None, None);
            }
        }
        theirs.lanes[1].points[0].full_attention = true;
        theirs.crossovers[0].kind = report::CrossoverKind::Undecided;
        theirs.crossovers[0].estimate = None;
        let markup = all(&[&mine, &theirs], &["mine", "theirs"], &ENGLISH);
        assert_eq!(markup.matches("as fast, no interval").count(), 14, "{markup}");
        assert!(!markup.contains("about equal") && !markup.contains("faster"), "{markup}");
        assert_eq!(markup.matches(ENGLISH.full_attention_note).count(), 1);
        assert!(markup.contains("B undecided") && !markup.contains("A first"), "{markup}");
    }

    #[test]
    fn fault_25_nothing_foreign_is_markup() {
        let (mut mine, mut theirs) = (samples::duel(), samples::duel());
        let evil = "<img src=x onerror=alert(1)>\"'&</td>";
        evil.clone_into(&mut mine.lanes[1].title);
        evil.clone_into(&mut theirs.environment.build);
        let markup = all(&[&mine, &theirs], &[evil, "\"><script>"], &ENGLISH);
        let document = roxmltree::Document::parse(&markup).unwrap();
        let allowed = [
            "div", "ul", "li", "b", "svg", "path", "span", "button", "strong", "h3", "em", "table", "thead",
            "tbody", "tr", "th", "td", "small", "sup", "p",
        ];
        for node in document.descendants().filter(roxmltree::Node::is_element) {
            assert!(allowed.contains(&node.tag_name().name()), "{}", node.tag_name().name());
            assert!(node.attributes().all(|attribute| !attribute.name().starts_with("on")));
        }
        assert_eq!(document.descendants().filter(|node| node.text() == Some(evil)).count(), 4);
    }

    #[test]
    fn equal_reports_have_no_differences() {
        let report = samples::duel();
        let comparison = Comparison::new(&[&report, &report]);
        assert_eq!(differences(&comparison, &ENGLISH), "");
        let mut silent = report.clone();
        silent.crossovers.clear();
        assert_eq!(crossings(&Comparison::new(&[&silent, &silent]), &ENGLISH), "");
    }
}
