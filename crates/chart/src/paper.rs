//! The chart as a figure for a paper: white background, title, chart, legend, and a caption with the race's settings,
//! hardware and date. It is self-contained: it has its own style rules, no script and no external resources, and uses
//! only features of old converters (no `dominant-baseline`, no custom properties).

use std::fmt::Write as _;

use mixer::Task;
use report::{LevelName, Report, SystemEntry};

use super::palette::{self, Theme};
use super::svg::escape;
use super::{Metric, Options, shapes, svg};
use crate::headline::headline_elsewhere;
use crate::lanes::{Look, looks};
use crate::machine;
use crate::words::{ENGLISH, Words};

/// Width of the figure in pixels.
const WIDTH: f64 = 760.0;
/// Height of the chart in pixels.
const CHART: f64 = 440.0;
/// Margin of the figure in pixels.
const MARGIN: f64 = 16.0;
/// Width of bold letters relative to regular ones, in the widest font.
const BOLD: f64 = 1.2;
/// Fonts of journals and converters.
const FONT: &str = "Helvetica,Arial,'Liberation Sans','DejaVu Sans',sans-serif";

/// The figure in English with times, as printed by the command.
pub fn figure(report: &Report, systems: &[SystemEntry]) -> String {
    figure_in(report, &looks(report, systems, &ENGLISH), Metric::Time, &[], &ENGLISH)
}

/// The figure of a view in a language. `looks` are the looks of the report's lanes; `hidden` lanes are omitted.
pub fn figure_in(report: &Report, looks: &[Look], metric: Metric, hidden: &[usize], text: &Words) -> String {
    let options = Options {
        width: WIDTH - 2.0 * MARGIN,
        height: CHART,
        metric,
        hidden: hidden.to_vec(),
        emphasis: None,
    };
    let scene = super::scene(report, looks, &options, text);
    let [ground, ink, muted, _] = palette::inks(Theme::Light);
    let title = headline_elsewhere(report, looks, text)
        .map_or_else(|| metric.axis(report.config.mode, text).to_owned(), |found| found.text);

    let mut y = MARGIN + 8.0;
    let mut body = String::with_capacity(24 * 1024);
    for line in wrapped(&title, 15.0 * BOLD) {
        let _ = write!(body, r#"<text class="title" x="{MARGIN}" y="{y:.0}">{}</text>"#, escape(&line));
        y += 20.0;
    }
    y -= 8.0;
    // Print converters do not know `dominant-baseline`, so text is shifted by the equivalent for its size.
    let marks = svg::marks(&scene).replace(r#" dominant-baseline="central""#, r#" dy="4""#);
    let _ = write!(body, r#"<g transform="translate({MARGIN} {y:.0})">{marks}</g>"#);
    y += CHART + 10.0;
    let shown: Vec<&Look> =
        looks.iter().enumerate().filter(|(lane, _)| !hidden.contains(lane)).map(|(_, look)| look).collect();
    legend(&mut body, &shown, &mut y);
    y += 8.0;
    for paragraph in caption(report, metric, hidden, text) {
        for line in wrapped(&paragraph, 11.0) {
            let _ = write!(body, r#"<text class="caption" x="{MARGIN}" y="{y:.0}">{}</text>"#, escape(&line));
            y += 15.0;
        }
    }
    let height = y - 15.0 + MARGIN;
    let style = format!(
        "{}text{{font-family:{FONT}}}.title{{font-size:15px;font-weight:700;fill:{ink}}}.caption{{font-size:11px;fill:{muted}}}.legend{{font-size:12px;fill:{ink}}}",
        svg::rules(Theme::Light, looks.iter().map(|look| look.slot))
    );
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" width="{WIDTH}" height="{height:.0}" role="img" aria-label="{0}" xml:lang="{1}"><title>{0}</title><style>{style}</style><rect width="{WIDTH}" height="{height:.0}" fill="{ground}"/>{body}</svg>"#,
        escape(&title),
        escape(text.lang),
    )
}

/// Legend: markers and names in rows.
fn legend(out: &mut String, looks: &[&Look], y: &mut f64) {
    let mut x = MARGIN;
    for look in looks {
        let width = 26.0 + estimated(&look.label, 12.0) + 16.0;
        if x > MARGIN && x + width > WIDTH - MARGIN {
            x = MARGIN;
            *y += 18.0;
        }
        let _ = write!(
            out,
            r#"<g class="lane c{slot}{hollow}"><path class="line" d="M{x:.1} {middle:.1}h20"/><path class="marker" d="{marker}"/></g><text class="legend" x="{start:.1}" y="{y:.1}">{label}</text>"#,
            slot = look.slot,
            hollow = if look.filled { "" } else { " hollow" },
            middle = *y - 4.0,
            marker = shapes::path(look.slot, x + 10.0, *y - 4.0, svg::MARKER),
            start = x + 26.0,
            y = *y,
            label = escape(&look.label),
        );
        x += width;
    }
    *y += 18.0;
}

/// Settings of the race, hardware and date.
fn caption(report: &Report, metric: Metric, hidden: &[usize], text: &Words) -> Vec<String> {
    let config = &report.config;
    let level = match config.level {
        LevelName::Core => text.level_core,
        LevelName::Layer => text.level_layer,
    };
    let form = text.form(config.causal);
    let quantity = metric.axis(config.mode, text);
    let quantity = if metric.has_spread() { (text.figure_median)(quantity) } else { quantity.to_owned() };
    let mut work = format!(
        "{}; {}",
        (text.figure_work)(&quantity, &level.to_ascii_lowercase(), form),
        (text.figure_problem)(config.width, config.heads, config.batch, config.seed)
    );
    if let Task::Decode { tokens } = config.mode {
        let _ = write!(work, "; {}", (text.figure_tokens)(tokens));
    }
    work.push('.');
    let mut machine = machine::processors(report, text);
    machine.push(machine::program(&report.environment));
    machine.extend(report.day());
    machine.push(format!("{} {}", text.name, report.environment.build));
    machine.retain(|part| !part.is_empty());
    let shown = report.lanes.iter().enumerate().filter(|(lane, _)| !hidden.contains(lane));
    let full = shown.flat_map(|(_, lane)| &lane.points).any(|point| point.full_attention);
    let marks = full.then(|| text.key_full.to_owned());
    [work, machine.join("; ") + "."].into_iter().chain(marks).collect()
}

/// Estimated width of a text in pixels, since neither the reader's font nor any font metrics are known.
fn estimated(text: &str, size: f64) -> f64 {
    text.chars().map(|c| if c >= '\u{2e80}' { 1.0 } else { 0.54 }).sum::<f64>() * size
}

/// Breaks a text into lines that fit the figure, at spaces, or anywhere in text without spaces.
fn wrapped(text: &str, size: f64) -> Vec<String> {
    let room = WIDTH - 2.0 * MARGIN;
    let mut lines = vec![String::new()];
    for word in text.split_inclusive([' ', '，', '；', '。']) {
        let mut rest = word;
        while let Some(line) = lines.last_mut() {
            if estimated(line, size) + estimated(rest.trim_end(), size) <= room {
                line.push_str(rest);
                break;
            }
            if !line.is_empty() {
                lines.push(String::new());
                continue;
            }
            // A word longer than a line.
            let fits = ((room / size / 0.54) as usize).min(rest.chars().count().saturating_sub(1)).max(1);
            let at = rest.char_indices().nth(fits).map_or(rest.len(), |(at, _)| at);
            line.push_str(&rest[..at]);
            rest = &rest[at..];
            lines.push(String::new());
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::words::CHINESE;

    fn parsed(svg: &str) -> roxmltree::Document<'_> {
        roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"))
    }

    fn texts(svg: &str) -> Vec<String> {
        let document = parsed(svg);
        let texts = document.descendants().filter(|node| node.has_tag_name("text"));
        texts
            .map(|node| {
                node.descendants().filter(roxmltree::Node::is_text).filter_map(|child| child.text()).collect()
            })
            .collect()
    }

    #[test]
    fn a_figure_is_xml_with_lanes_hardware_date_and_settings() {
        for report in [samples::duel(), samples::wall()] {
            for &metric in Metric::views(report.config.mode) {
                let svg = figure_in(&report, &looks(&report, &[], &ENGLISH), metric, &[], &ENGLISH);
                let all = texts(&svg).join("\n");
                for lane in &report.lanes {
                    assert!(all.contains(&lane.title), "{all}");
                }
                for needed in
                    [report.day().unwrap().as_str(), "GPU ", "width 256", "whole layer", "Crossover 0."]
                {
                    assert!(all.contains(needed), "{needed}: {all}");
                }
                assert!(!svg.contains("NaN") && !svg.contains("dominant-baseline") && !svg.contains("var("));
            }
        }
        let chinese =
            figure_in(&samples::duel(), &looks(&samples::duel(), &[], &CHINESE), Metric::Time, &[], &CHINESE);
        assert!(texts(&chinese).join("\n").contains("宽度"));
    }

    #[test]
    fn a_figure_of_a_decode_race_has_its_titles_and_its_tokens() {
        let report = samples::decode();
        for (text, titles) in [
            (
                &ENGLISH,
                [
                    "Context length (tokens)",
                    "Time to first token (prefill)",
                    "128 generated tokens per run",
                    "CPU",
                ],
            ),
            (&CHINESE, ["上下文长度（词元）", "首词元时间（预填充）", "每次运行生成 128 个词元", "CPU"]),
        ] {
            let svg = figure_in(&report, &looks(&report, &[], text), Metric::Prefill, &[], text);
            let all = texts(&svg).join(" ");
            for title in titles {
                assert!(all.contains(title), "{title}: {all}");
            }
            assert!(!all.contains("quartiles") && !all.contains("forward") && !all.contains("前向"), "{all}");
        }
        let state = figure_in(&report, &looks(&report, &[], &ENGLISH), Metric::State, &[], &ENGLISH);
        assert!(texts(&state).iter().any(|text| text.starts_with("CPU memory limit")));
    }

    #[test]
    fn rings_are_explained_where_there_are_any() {
        let mut report = samples::duel();
        assert!(!figure(&report, &[]).contains("ringed"));
        report.lanes[1].points[0].full_attention = true;
        assert!(figure(&report, &[]).contains("ringed: runs full attention"));
        let looks = looks(&report, &[], &CHINESE);
        assert!(!figure_in(&report, &looks, Metric::Time, &[1], &CHINESE).contains("外圈"));
    }

    #[test]
    fn the_background_is_white_and_hidden_lanes_are_omitted() {
        let report = samples::duel();
        let own = looks(&report, &[], &ENGLISH);
        let svg = figure_in(&report, &own, Metric::Time, &[1], &ENGLISH);
        let document = parsed(&svg);
        let ground = document.descendants().find(|node| node.has_tag_name("rect")).unwrap();
        assert_eq!((ground.attribute("fill"), ground.attribute("width")), (Some("#ffffff"), Some("760")));
        let legends = document.descendants().filter(|node| node.attribute("class") == Some("legend"));
        assert_eq!(legends.count(), 1);
    }

    #[test]
    fn fault_25_foreign_strings_are_only_text_in_a_figure() {
        let mut report = samples::duel();
        "</script><script>alert(1)</script>]]><!--".clone_into(&mut report.lanes[0].title);
        report.environment.agent = "\"><image href='javascript:alert(1)' onload=x>\u{202e}".to_owned();
        report.environment.build = "</style><b>".to_owned();
        let svg = figure(&report, &[]);
        let document = parsed(&svg);
        let allowed = ["svg", "title", "style", "rect", "g", "path", "text", "tspan", "line", "circle"];
        for node in document.descendants().filter(roxmltree::Node::is_element) {
            assert!(allowed.contains(&node.tag_name().name()), "{}", node.tag_name().name());
            assert!(
                node.attributes().all(
                    |attribute| !attribute.name().starts_with("on") && !attribute.name().contains("href")
                )
            );
        }
        assert!(!svg.contains('\u{202e}') && !svg.contains("</script>"));
        assert_eq!(svg.matches("</style>").count(), 1);
    }

    #[test]
    fn long_captions_are_wrapped_completely() {
        let long = "word ".repeat(80);
        let lines = wrapped(&long, 11.0);
        assert!(lines.len() > 1 && lines.iter().all(|line| estimated(line, 11.0) <= WIDTH));
        assert_eq!(lines.join(" "), long.trim_end());
        let solid = "x".repeat(400);
        assert_eq!(wrapped(&solid, 11.0).concat(), solid);
        assert_eq!(wrapped(&"中".repeat(300), 11.0).concat().chars().count(), 300);
        assert!(wrapped("", 11.0).is_empty());
    }
}
