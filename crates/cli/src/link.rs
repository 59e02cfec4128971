//! `crossover link`: encodes and decodes links.

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use report::{Linked, Report};

use crate::args::{Format, LinkArgs, LinkCommand};
use crate::error::CliError;

/// Runs a link command.
///
/// # Errors
/// Errors of the link, the file or its content.
pub fn run(args: &LinkArgs) -> Result<ExitCode, CliError> {
    match &args.command {
        LinkCommand::Decode { url, form } => {
            let url = if url == "-" { read(Path::new("-"))? } else { url.clone() };
            match (report::decode_link(&url)?, form.or(Format::Json)) {
                (Linked::Report(report), format) => crate::form::print(&report, format)?,
                (Linked::Config(config), Format::Json) => {
                    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&config)?)?;
                }
                (Linked::Config(_), _) => return Err(CliError::NoReport),
            }
        }
        LinkCommand::Encode { file } => writeln!(std::io::stdout(), "{}", encode(&read(file)?)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The link of a file's report or configuration.
fn encode(text: &str) -> Result<String, CliError> {
    Ok(match report::read_file(text)? {
        Linked::Report(report) => report::encode_link(&report)?,
        Linked::Config(config) => report::encode_config_link(&config)?,
    })
}

/// Reads a text file, or standard input for `-`, in UTF-8 or in UTF-16 with a byte-order mark, up to the size limit of
/// reports.
///
/// # Errors
/// [`CliError::File`], [`CliError::NoText`] or [`CliError::FileTooLarge`].
pub fn read(path: &Path) -> Result<String, CliError> {
    let failed = |error| CliError::File { path: path.to_owned(), error };
    let limit = Report::MAX_JSON_BYTES as u64;
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(failed)?)
    };
    // In UTF-16, a character of JSON takes two bytes.
    let mut bytes = Vec::new();
    source.take(2 * limit + 3).read_to_end(&mut bytes).map_err(failed)?;
    let text = if bytes.len() as u64 > 2 * limit + 2 {
        None
    } else {
        let text =
            report::file_text(bytes).map_err(|error| CliError::NoText { path: path.to_owned(), error })?;
        Some(text).filter(|text| text.len() as u64 <= limit)
    };
    text.ok_or_else(|| CliError::FileTooLarge { path: path.to_owned(), limit })
}
