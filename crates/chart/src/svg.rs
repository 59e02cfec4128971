//! A scene as SVG text. Marks have only classes: the page's style sheet colours them, and a self-contained file
//! includes its own rules.

use std::fmt::Write as _;

use super::palette::{self, Theme};
use super::{LaneMarks, Scene, shapes};

/// Room that the reason of a lane that dropped out takes, in pixels.
const REASON: f64 = 90.0;
/// Radius of a marker.
pub const MARKER: f64 = 4.5;

/// Escapes text for SVG and HTML, since names in a report are not trusted.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters are not allowed in XML, and bidi overrides would reorder what follows.
            c if c.is_control()
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c) => {}
            c => out.push(c),
        }
    }
    out
}

/// The content of the `<svg>` element.
pub fn marks(scene: &Scene) -> String {
    let mut out = String::with_capacity(16 * 1024);
    frame(&mut out, scene);
    if let Some(limit) = &scene.limit {
        let plot = scene.plot;
        let _ = write!(
            out,
            r#"<g class="limit"><line x1="{0:.1}" x2="{1:.1}" y1="{2:.1}" y2="{2:.1}"/><text x="{3:.1}" y="{4:.1}">{5}</text></g>"#,
            plot.left,
            plot.right,
            limit.y,
            plot.left + 6.0,
            limit.y - 5.0,
            escape(&limit.label)
        );
    }
    for mark in &scene.crossovers {
        let (left, right) = mark.band;
        let plot = scene.plot;
        let _ = write!(
            out,
            r#"<g class="crossover c{slot}{predicted}{small}"><rect class="band" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}"/><line class="cut" x1="{x:.1}" x2="{x:.1}" y1="{top:.1}" y2="{bottom:.1}"/><circle class="meet" cx="{x:.1}" cy="{y:.1}" r="{r}"/>"#,
            slot = mark.slot,
            predicted = if mark.predicted { " predicted" } else { "" },
            small = if mark.small { " small" } else { "" },
            r = if mark.small { 5 } else { 9 },
            top = plot.top,
            bottom = plot.bottom,
            width = (right - left).max(1.0),
            height = plot.bottom - plot.top,
            x = mark.x,
            y = mark.y,
        );
        if let Some(label) = &mark.label {
            let anchor = if mark.x < plot.left + 60.0 {
                "start"
            } else if mark.x > plot.right - 60.0 {
                "end"
            } else {
                "middle"
            };
            let _ = write!(
                out,
                r#"<text class="crossover-label" x="{:.1}" y="{:.1}" text-anchor="{anchor}">{}</text>"#,
                mark.x,
                plot.top - 9.0,
                escape(label)
            );
        }
        out.push_str("</g>");
    }
    for lane in &scene.lanes {
        lane_marks(&mut out, lane, scene.plot.left);
    }
    for label in &scene.labels {
        let _ = write!(
            out,
            r#"<g class="end-label c{}{}">"#,
            label.slot,
            if label.faded { " faded" } else { "" }
        );
        if (label.y - label.from.1).abs() > 6.0 {
            let _ = write!(
                out,
                r#"<path class="lead" d="M{:.1} {:.1}L{:.1} {:.1}"/>"#,
                label.from.0 + 7.0,
                label.from.1,
                label.x - 3.0,
                label.y
            );
        }
        let _ = write!(
            out,
            r#"<text x="{:.1}" y="{:.1}" dominant-baseline="central">{}{}</text></g>"#,
            label.x,
            label.y,
            escape(&label.name),
            power(label.exponent.as_deref(), if label.name.is_empty() { "" } else { "\u{2002}" })
        );
    }
    for guide in &scene.guides {
        let class = guide.slot.map_or_else(String::new, |slot| format!(" c{slot}"));
        let _ = write!(
            out,
            r#"<g class="guide{class}"><path d="M{:.1} {:.1}L{:.1} {:.1}"/><text x="{:.1}" y="{:.1}" dominant-baseline="central">∝ {}</text></g>"#,
            guide.from.0,
            guide.from.1,
            guide.to.0,
            guide.to.1,
            guide.to.0 + 10.0,
            guide.to.1,
            power(Some(&guide.exponent), "")
        );
    }
    out
}

/// L with an exponent, in superscript.
fn power(exponent: Option<&str>, before: &str) -> String {
    match exponent {
        None => String::new(),
        Some("") => format!("{before}<tspan class=\"power\">L</tspan>"),
        Some(exponent) => format!(
            "{before}<tspan class=\"power\">L</tspan><tspan class=\"raised\" dy=\"-4.5\">{}</tspan>",
            escape(exponent)
        ),
    }
}

fn frame(out: &mut String, scene: &Scene) {
    let plot = scene.plot;
    out.push_str(r#"<g class="axes">"#);
    for tick in &scene.x_ticks {
        let _ = write!(
            out,
            r#"<line class="grid" x1="{0:.1}" x2="{0:.1}" y1="{1:.1}" y2="{2:.1}"/>"#,
            tick.at, plot.top, plot.bottom
        );
        if let Some(label) = &tick.label {
            let _ = write!(
                out,
                r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                tick.at,
                plot.bottom + 18.0,
                escape(label)
            );
        }
    }
    for tick in &scene.y_ticks {
        let _ = write!(
            out,
            r#"<line class="grid" x1="{1:.1}" x2="{2:.1}" y1="{0:.1}" y2="{0:.1}"/>"#,
            tick.at, plot.left, plot.right
        );
        if let Some(label) = &tick.label {
            let _ = write!(
                out,
                r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end" dominant-baseline="central">{}</text>"#,
                plot.left - 8.0,
                tick.at,
                escape(label)
            );
        }
    }
    let _ = write!(
        out,
        r#"<line class="axis" x1="{0:.1}" x2="{1:.1}" y1="{2:.1}" y2="{2:.1}"/><text class="axis-title" x="{3:.1}" y="{4:.1}" text-anchor="middle">{5}</text><text class="axis-title" x="0" y="12">{6}</text></g>"#,
        plot.left,
        plot.right,
        plot.bottom,
        f64::midpoint(plot.left, plot.right),
        plot.bottom + 38.0,
        escape(&scene.x_title),
        escape(&scene.y_title),
    );
}

fn polyline(out: &mut String, class: &str, points: &[(f64, f64)]) {
    if points.len() < 2 {
        return;
    }
    let _ = write!(out, r#"<path class="{class}" d=""#);
    for (index, (x, y)) in points.iter().enumerate() {
        let _ = write!(out, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    out.push_str(r#""/>"#);
}

fn lane_marks(out: &mut String, lane: &LaneMarks, left: f64) {
    let _ = write!(
        out,
        r#"<g class="lane c{}{}{}{}{}">"#,
        lane.slot,
        if lane.series > 0 { format!(" r{}", lane.series) } else { String::new() },
        if lane.filled { "" } else { " hollow" },
        if lane.faded { " faded" } else { "" },
        if lane.emphasised { " emphasised" } else { "" },
    );
    polyline(out, "predicted", &lane.predicted);
    polyline(out, "line", &lane.line);
    for point in &lane.points {
        let (top, bottom) = point.whisker;
        if bottom - top > 1.5 {
            let _ = write!(
                out,
                r#"<path class="whisker" d="M{0:.1} {1:.1}V{2:.1}M{3:.1} {1:.1}h6M{3:.1} {2:.1}h6"/>"#,
                point.x,
                top,
                bottom,
                point.x - 3.0
            );
        }
        let _ = write!(
            out,
            r#"<path class="marker" d="{}"/>"#,
            shapes::path(lane.slot, point.x, point.y, MARKER)
        );
        if point.full_attention {
            let _ = write!(
                out,
                r#"<circle class="ring" cx="{:.1}" cy="{:.1}" r="{:.1}"/>"#,
                point.x,
                point.y,
                MARKER + 3.5
            );
        }
    }
    if let Some(dnf) = &lane.dnf {
        // Left of its cross, unless it would cover the labels of the axis.
        let (x, anchor) = if dnf.x - left < REASON { (dnf.x + 9.0, "start") } else { (dnf.x - 9.0, "end") };
        let _ = write!(
            out,
            r#"<path class="dnf" d="M{0:.1} {1:.1}l10 10m0 -10l-10 10"/><text class="dnf-label" x="{2:.1}" y="{3:.1}" text-anchor="{anchor}">{4}</text>"#,
            dnf.x - 5.0,
            dnf.y - 5.0,
            x,
            dnf.label_y,
            escape(&dnf.reason)
        );
    }
    out.push_str("</g>");
}

/// Slots with rules in every file, even if the file does not show them.
const ALWAYS: usize = 14;

/// Style rules of the marks in a self-contained file. Rules have equal weight, so that later ones win, since converters
/// know few selectors. `slots` are those of the visible lanes.
pub fn rules(theme: Theme, slots: impl IntoIterator<Item = usize>) -> String {
    let [ground, ink, muted, grid] = palette::inks(theme);
    let mut style = format!(
        "text{{font:12px system-ui,sans-serif;fill:{muted}}}.grid{{stroke:{grid}}}.axis{{stroke:{muted}}}.limit line{{stroke:{ink};stroke-dasharray:8 4}}"
    );
    let slots = slots.into_iter().map(|slot| slot + 1).fold(ALWAYS, usize::max);
    for (slot, color) in palette::lanes(theme).iter().enumerate().take(slots) {
        let _ = write!(
            style,
            ".c{slot} path,.c{slot} .cut,.c{slot} .ring{{stroke:{color}}}.c{slot} text,.c{slot} .band,.c{slot} .marker{{fill:{color}}}"
        );
    }
    let _ = write!(
        style,
        ".lane .line,.lane .predicted,.lane .whisker,.lane .dnf,.end-label .lead{{fill:none}}.line{{stroke-width:2.25;stroke-linejoin:round}}.predicted{{stroke-width:1.75;stroke-dasharray:5 5}}.whisker,.marker{{stroke-width:1.5}}.dnf{{stroke-width:2.5}}.lead{{stroke-width:.75;opacity:.5}}.hollow .marker{{fill:{ground}}}.ring{{fill:none;stroke-width:1.25}}.crossover .band{{opacity:.12;stroke:none}}.crossover .cut{{stroke-dasharray:2 3}}.crossover .meet{{fill:none;stroke:{ink};stroke-width:1.5}}.crossover .crossover-label{{font-weight:600;fill:{ink}}}.end-label text{{font-weight:600;paint-order:stroke;stroke:{ground};stroke-width:3px}}.raised{{font-size:9.5px}}.guide path{{fill:none;stroke-dasharray:2 4}}.small .cut,.small .band{{display:none}}.faded{{opacity:.3}}"
    );
    style
}

/// A self-contained file: the scene with its colours and fonts.
pub fn document(scene: &Scene, theme: Theme, title: &str) -> String {
    let [ground, ..] = palette::inks(theme);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0:.0} {1:.0}" width="{0:.0}" height="{1:.0}" role="img" aria-label="{2}"><title>{2}</title><style>{3}</style><rect width="100%" height="100%" fill="{ground}"/>{4}</svg>"#,
        scene.width,
        scene.height,
        escape(title),
        rules(theme, scene.lanes.iter().map(|lane| lane.slot)),
        marks(scene)
    )
}
