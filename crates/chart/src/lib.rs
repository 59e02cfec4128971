//! The log-log chart in pure steps: a report and options become a [`Scene`] of positions in pixels, and a scene becomes
//! SVG text. The page, exports and tests use these steps. The crate does not depend on a browser.

mod build;
#[cfg(test)]
mod build_tests;
pub mod comparison;
mod crossovers;
mod ends;
pub mod format;
pub mod headline;
mod labels;
pub mod lanes;
pub mod machine;
pub mod metric;
pub mod palette;
pub mod paper;
#[cfg(test)]
mod samples;
pub mod scale;
pub mod shapes;
pub mod svg;
pub mod words;

pub use build::scene;
pub use metric::Metric;
pub use words::Words;

use scale::Tick;

/// Options of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Width in CSS pixels.
    pub width: f64,
    /// Height in CSS pixels.
    pub height: f64,
    /// The view.
    pub metric: Metric,
    /// Indices of hidden lanes.
    pub hidden: Vec<usize>,
    /// Index of the emphasised lane.
    pub emphasis: Option<usize>,
}

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rect {
    /// Left edge.
    pub left: f64,
    /// Top edge.
    pub top: f64,
    /// Right edge.
    pub right: f64,
    /// Bottom edge.
    pub bottom: f64,
}

/// A chart with the positions of all its marks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scene {
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// The plot area.
    pub plot: Rect,
    /// Ticks of lengths.
    pub x_ticks: Vec<Tick>,
    /// Ticks of values.
    pub y_ticks: Vec<Tick>,
    /// Title of the horizontal axis.
    pub x_title: String,
    /// Title of the vertical axis.
    pub y_title: String,
    /// Lanes in drawing order: the emphasised one last.
    pub lanes: Vec<LaneMarks>,
    /// The memory limit of views in bytes.
    pub limit: Option<Limit>,
    /// Crossovers.
    pub crossovers: Vec<CrossoverMark>,
    /// Labels at the right ends of the lines.
    pub labels: Vec<EndLabel>,
    /// Theoretical slopes, before the first measurement.
    pub guides: Vec<Guide>,
}

/// One lane's marks.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneMarks {
    /// Index of the lane in its report.
    pub lane: usize,
    /// Colour and shape.
    pub slot: usize,
    /// Filled markers.
    pub filled: bool,
    /// Index of its report among several, which determines the style of its line.
    pub series: usize,
    /// Whether another lane is emphasised.
    pub faded: bool,
    /// Whether this lane is emphasised.
    pub emphasised: bool,
    /// The measured line.
    pub line: Vec<(f64, f64)>,
    /// The predicted line, dashed; starts at the last measured point.
    pub predicted: Vec<(f64, f64)>,
    /// Measured points.
    pub points: Vec<PointMark>,
    /// Point at which the lane dropped out.
    pub dnf: Option<DnfMark>,
}

/// A measured point.
#[derive(Debug, Clone, PartialEq)]
pub struct PointMark {
    /// Its sequence length.
    pub length: u32,
    /// Horizontal position in pixels.
    pub x: f64,
    /// Vertical position of the median in pixels.
    pub y: f64,
    /// Vertical positions of the quartiles in pixels, top and bottom.
    pub whisker: (f64, f64),
    /// The formatted value: `1.23 ms`.
    pub value: String,
    /// Whether the system ran full attention here: its marker has a ring.
    pub full_attention: bool,
    /// Description in a sentence, for screen readers.
    pub description: String,
}

/// The end of a lane that dropped out.
#[derive(Debug, Clone, PartialEq)]
pub struct DnfMark {
    /// Sequence length that the lane did not finish.
    pub length: u32,
    /// Horizontal position in pixels.
    pub x: f64,
    /// Vertical position in pixels.
    pub y: f64,
    /// Vertical position of the reason in pixels from the top.
    pub label_y: f64,
    /// The reason in two words.
    pub reason: String,
    /// The reason in a sentence.
    pub description: String,
}

/// A crossover: a line within a band.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossoverMark {
    /// Index of the challenger's lane.
    pub lane: usize,
    /// Colour.
    pub slot: usize,
    /// Horizontal position of the estimate in pixels.
    pub x: f64,
    /// Horizontal positions of the interval's ends in pixels.
    pub band: (f64, f64),
    /// Vertical position in pixels at which the lines meet.
    pub y: f64,
    /// Whether it is one of many and therefore drawn small.
    pub small: bool,
    /// Whether it is predicted.
    pub predicted: bool,
    /// Label above the plot: `≈ 1,100`; `None` if there are too many crossovers to label.
    pub label: Option<String>,
    /// Description in a sentence.
    pub description: String,
}

/// A label at a line's end.
#[derive(Debug, Clone, PartialEq)]
pub struct EndLabel {
    /// Index of the lane.
    pub lane: usize,
    /// Colour.
    pub slot: usize,
    /// Whether another lane is emphasised.
    pub faded: bool,
    /// Horizontal position of the text's start in pixels.
    pub x: f64,
    /// Vertical position of the text's middle in pixels.
    pub y: f64,
    /// Vertical position of the line's end in pixels, for a thin connector.
    pub from: (f64, f64),
    /// The lane's name; empty if there is no room.
    pub name: String,
    /// The fitted exponent of L.
    pub exponent: Option<String>,
}

/// A limit of the values: a horizontal line.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// Vertical position in pixels.
    pub y: f64,
    /// The label of the limit: the limited quantity and its value.
    pub label: String,
}

/// A theoretical slope without measurements.
#[derive(Debug, Clone, PartialEq)]
pub struct Guide {
    /// Colour, if only one lane has this slope.
    pub slot: Option<usize>,
    /// First end.
    pub from: (f64, f64),
    /// Second end.
    pub to: (f64, f64),
    /// The exponent of L; empty for 1.
    pub exponent: String,
}
