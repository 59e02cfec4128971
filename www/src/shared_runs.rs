//! Input from readers: pasted text, dropped files, past runs. It is validated here before anything on the page changes,
//! and errors become messages.

use report::{LinkError, Linked, Report, Seems};

use crate::text::{Text, Told};
use chart::format;

/// Longest name shown, in characters.
const MAX_NAME: usize = 60;
/// Most links of one paste or drop.
const MAX_LINKS: usize = 20;

/// A report supplied by a reader.
#[derive(Debug, Clone, PartialEq)]
pub struct Brought {
    /// Name of the file; `None` for a link.
    pub name: Option<String>,
    /// The report, or the error message.
    pub report: Result<Box<Report>, String>,
}

/// Reads a file's or a paste's content: a report's JSON, or links, one per line. `name` is the file's name, empty for
/// other text. `content` is `None` where the file's size of `size_bytes` exceeds the limit.
pub fn read(name: &str, content: Option<&str>, size_bytes: f64, text: &Text) -> Vec<Brought> {
    let name = (!name.is_empty()).then(|| shown_name(name));
    let Some(content) = content else {
        let limit = format::bytes(Report::MAX_JSON_BYTES as f64);
        let reason = (text.travel.file_too_large)(&format::bytes(size_bytes), &limit);
        return vec![Brought { name, report: Err(reason) }];
    };
    let content = content.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    // A link in Markdown begins with a bracket, too.
    if content.starts_with('{') || content.starts_with('[') && !report::is_link(content) {
        let report = Report::from_json(content).map(Box::new).map_err(|error| {
            // A configuration is valid, but has no results to show.
            let setup = content.contains("\"systems\"") && !content.contains("\"schema\"");
            if setup { text.travel.only_setup.to_owned() } else { text.told(&Told::of(&error)) }
        });
        return vec![Brought { name, report }];
    }
    report::decode_links(content, MAX_LINKS)
        .into_iter()
        .map(|link| Brought {
            name: name.clone(),
            report: match link {
                Ok(Linked::Report(report)) => Ok(report),
                Ok(Linked::Config(_)) => Err(text.travel.only_setup.to_owned()),
                // Without any link, the apparent kind of the file is more helpful.
                Err(LinkError::NoRace | LinkError::Empty) => Err((text.travel.no_race)(Seems::of(content))),
                Err(LinkError::TooLong { .. }) if !report::is_link(content) => {
                    Err((text.travel.no_race)(Seems::of(content)))
                }
                Err(error) => Err(text.told(&Told::of(&error))),
            },
        })
        .collect()
}

/// A name for display: shortened, and without characters that reorder or break the surrounding text.
pub fn shown_name(name: &str) -> String {
    let kept: String = name
        .chars()
        .filter(|c| {
            !c.is_control()
                && !matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        })
        .take(MAX_NAME)
        .collect();
    kept.trim().to_owned()
}

/// Whether the report has a measured point.
pub fn measured(report: &Report) -> bool {
    report.lanes.iter().any(|lane| lane.points.iter().any(|point| point.median_ms.is_some()))
}

/// The default name of a run: its lanes.
pub fn run_name(report: &Report) -> String {
    let mut titles: Vec<&str> = Vec::new();
    for lane in &report.lanes {
        if !titles.contains(&lane.title.as_str()) {
            titles.push(&lane.title);
        }
    }
    let more = titles.len().saturating_sub(3);
    titles.truncate(3);
    let name = titles.join(", ");
    shown_name(&if more > 0 { format!("{name} +{more}") } else { name })
}

#[cfg(test)]
mod tests {
    use report::Config;

    use super::*;
    use crate::samples;
    use crate::text::{ENGLISH, LANGUAGES};

    fn one(name: &str, content: &str) -> Result<Box<Report>, String> {
        let mut all = read(name, Some(content), content.len() as f64, &ENGLISH);
        assert_eq!(all.len(), 1);
        all.remove(0).report
    }

    #[test]
    fn files_and_links_are_distinguished() {
        let report = samples::duel();
        let json = serde_json::to_string_pretty(&report).unwrap();
        assert_eq!(one("a.json", &json).as_deref(), Ok(&report));
        assert_eq!(one("a.json", &format!("\u{feff}\n{json}")).as_deref(), Ok(&report));
        let link = format!("https://example.org/{}", report::encode_link(&report).unwrap());
        assert!(one("", &link).is_ok());
        let other = report::Report { started_at_ms: None, ..report };
        let other = report::encode_link(&other).unwrap();
        let two = read("", Some(&format!("# a comment\n{link}\r\n\n{other}\n{link}")), 0.0, &ENGLISH);
        assert!(two.len() == 2 && two.iter().all(|brought| brought.report.is_ok()));
    }

    #[test]
    fn fault_28_refusals_are_translated() {
        let setup = serde_json::to_string(&Config::default()).unwrap();
        let setup_link = report::encode_config_link(&Config::default()).unwrap();
        assert_eq!(one("", &setup), Err(ENGLISH.travel.only_setup.to_owned()));
        assert_eq!(one("", &setup_link), Err(ENGLISH.travel.only_setup.to_owned()));
        assert_eq!(one("", " \n "), Err((ENGLISH.travel.no_race)(Seems::Empty)));
        for (content, words) in [
            ("hello", "seems to be some other text"),
            ("{\"schema\": 99}", "newer Crossover"),
            ("{\"__proto__\": {}}", "not a report"),
            ("[[[[", "not a report"),
            ("#r=9AAAA", "newer Crossover"),
        ] {
            let error = one("x", content).unwrap_err();
            assert!(error.contains(words), "{content}: {error}");
        }
        for text in LANGUAGES {
            let large = read("big.json", None, 52_428_800.0, text);
            let error = large[0].report.clone().unwrap_err();
            assert!(error.contains("50.0\u{202f}MiB") && error.contains("4.00\u{202f}MiB"), "{error}");
        }
        assert_eq!(read("", Some(&"#r=x\n".repeat(500)), 0.0, &ENGLISH).len(), MAX_LINKS);
    }

    #[test]
    fn links_are_taken_out_of_mails() {
        let report = samples::duel();
        let link = format!("https://example.org/{}", report::encode_link(&report).unwrap());
        let lines: Vec<&str> =
            link.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        for mail in [
            lines.join("\n"),
            format!("Look:\n> {}\n> Ada", lines.join("\n> ")),
            format!("[a race]({link})"),
            format!("<{link}>."),
            link.replace("#r=", "%23r%3D"),
        ] {
            assert_eq!(
                one("mail.txt", &mail).map(|report| report.lanes.len()),
                Ok(report.lanes.len()),
                "{mail}"
            );
        }
        // An incomplete link is damaged, whatever its lines begin with.
        let cut = one("mail.txt", &lines[..lines.len() - 1].join("\n")).unwrap_err();
        assert!(cut.contains("damaged"), "{cut}");
    }

    #[test]
    fn other_files_are_refused_with_their_apparent_kind() {
        let report = samples::duel();
        for text in LANGUAGES {
            for (content, seems) in [
                (report.to_csv(), Seems::Csv),
                (report.to_markdown(), Seems::Markdown),
                ("\u{fffd}PNG\0".to_owned(), Seems::Binary),
                ("length 256\n".repeat(500), Seems::Text),
            ] {
                let all = read("a", Some(&content), 0.0, text);
                assert_eq!(all.len(), 1);
                assert_eq!(all[0].report, Err((text.travel.no_race)(seems)));
            }
        }
        assert!((ENGLISH.travel.no_race)(Seems::Csv).contains("CSV"));
    }

    #[test]
    fn fault_25_file_names_are_cleaned() {
        assert_eq!(shown_name("a\u{202e}nosj.exe\n"), "anosj.exe");
        assert_eq!(shown_name(&"x".repeat(10_000)).len(), MAX_NAME);
        assert_eq!(shown_name("<b>.json"), "<b>.json");
    }

    #[test]
    fn runs_are_named_by_their_lanes() {
        let mut report = samples::duel();
        assert_eq!(run_name(&report), "Attention, Hyena");
        assert!(measured(&report));
        let lane = report.lanes[0].clone();
        for title in ["Mega", "LTC"] {
            report.lanes.push(report::Lane { title: title.to_owned(), points: vec![], ..lane.clone() });
        }
        assert_eq!(run_name(&report), "Attention, Hyena, Mega +1");
    }
}
