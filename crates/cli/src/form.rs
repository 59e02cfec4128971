//! Prints reports.

use std::io::Write;

use report::Report;

use crate::args::Format;
use crate::error::CliError;
use crate::{systems, table};

/// Prints a report to standard output.
///
/// # Errors
/// Where it cannot be written.
pub fn print(report: &Report, format: Format) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Table => write!(out, "{}", table::render(report))?,
        Format::Json => write!(out, "{}", report.to_json()?)?,
        Format::Csv => write!(out, "{}", report.to_csv())?,
        Format::Markdown => write!(out, "{}", report.to_markdown())?,
        Format::Svg => writeln!(out, "{}", chart::paper::figure(report, &systems::entries()))?,
        Format::Bibtex => {
            let lanes = report.lanes.iter().map(|lane| lane.system.as_str());
            write!(out, "{}", report::bibliography(systems::BIBLIOGRAPHY, lanes))?;
        }
    }
    Ok(())
}
