//! The log-log chart, in three pure steps: a report and options become a [`Scene`] of positions in pixels, a scene
//! becomes SVG text. The page, the exports and the tests all go the same way; nothing here knows a browser.

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

/// What to draw and how large.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Width in CSS pixels.
    pub width: f64,
    /// Height in CSS pixels.
    pub height: f64,
    /// The view.
    pub metric: Metric,
    /// Lanes left out, by index.
    pub hidden: Vec<usize>,
    /// The lane to bring forward.
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

/// Everything that the chart shows, placed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scene {
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// Where the lines are.
    pub plot: Rect,
    /// Sequence lengths.
    pub x_ticks: Vec<Tick>,
    /// Values.
    pub y_ticks: Vec<Tick>,
    /// Title of the horizontal axis.
    pub x_title: String,
    /// Title of the vertical axis.
    pub y_title: String,
    /// Lanes in drawing order: the emphasised one last.
    pub lanes: Vec<LaneMarks>,
    /// Crossovers.
    pub crossovers: Vec<CrossoverMark>,
    /// What stands at the right ends of the lines.
    pub labels: Vec<EndLabel>,
    /// Slopes that theory gives, while nothing is measured.
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
    /// Which of several reports it is from: its line's style.
    pub series: usize,
    /// Whether another lane is emphasised.
    pub faded: bool,
    /// Whether this lane is.
    pub emphasised: bool,
    /// The measured line.
    pub line: Vec<(f64, f64)>,
    /// The predicted line, dashed; starts at the last measured point.
    pub predicted: Vec<(f64, f64)>,
    /// Measured points.
    pub points: Vec<PointMark>,
    /// Where the lane dropped out.
    pub dnf: Option<DnfMark>,
}

/// A measured point.
#[derive(Debug, Clone, PartialEq)]
pub struct PointMark {
    /// Its sequence length.
    pub length: u32,
    /// Pixel.
    pub x: f64,
    /// Pixel of the median.
    pub y: f64,
    /// Pixels of the quartiles, top and bottom.
    pub whisker: (f64, f64),
    /// The value in words: `1.23 ms`.
    pub value: String,
    /// Whether the system ran full attention here: its marker has a ring.
    pub full_attention: bool,
    /// Everything in a sentence, for who can't see the chart.
    pub description: String,
}

/// Where a lane dropped out.
#[derive(Debug, Clone, PartialEq)]
pub struct DnfMark {
    /// The length it did not finish.
    pub length: u32,
    /// Pixel.
    pub x: f64,
    /// Pixel.
    pub y: f64,
    /// Where the reason stands, in pixels from the top.
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
    /// Pixel of the estimate.
    pub x: f64,
    /// Pixels of the interval's ends.
    pub band: (f64, f64),
    /// Pixel where the lines meet.
    pub y: f64,
    /// Whether it is one of many, and drawn small.
    pub small: bool,
    /// Whether it is predicted.
    pub predicted: bool,
    /// Above the plot: `≈ 1,100`; absent where there are too many to label.
    pub label: Option<String>,
    /// In a sentence.
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
    /// Pixel where the text begins.
    pub x: f64,
    /// Pixel of its middle.
    pub y: f64,
    /// Pixel of the line's end, for a thin connector.
    pub from: (f64, f64),
    /// The lane's name; empty where there is no room.
    pub name: String,
    /// The fitted exponent of L.
    pub exponent: Option<String>,
}

/// A slope without a measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Guide {
    /// Colour, where only one lane has it.
    pub slot: Option<usize>,
    /// One end.
    pub from: (f64, f64),
    /// The other.
    pub to: (f64, f64),
    /// The exponent of L; empty for 1.
    pub exponent: String,
}
