//! `crossover link`: links there and back.

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use report::{Config, Linked, Report};

use crate::args::{Format, LinkArgs, LinkCommand};
use crate::error::CliError;

/// Carries out a link command.
///
/// # Errors
/// What is wrong with the link, the file or its content.
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

/// The link of a report's or configuration's JSON. A report has lanes; a configuration refuses that field by name.
fn encode(json: &str) -> Result<String, CliError> {
    let is_report = serde_json::from_str::<serde_json::Value>(json)
        .is_ok_and(|value| value.get("schema").is_some() || value.get("lanes").is_some());
    Ok(if is_report {
        report::encode_link(&Report::from_json(json)?)?
    } else {
        report::encode_config_link(&Config::from_json(json)?)?
    })
}

/// A text file, or standard input for `-`; never more than a report may have.
///
/// # Errors
/// [`CliError::File`] or [`CliError::FileTooLarge`].
pub fn read(path: &Path) -> Result<String, CliError> {
    let failed = |error| CliError::File { path: path.to_owned(), error };
    let limit = Report::MAX_JSON_BYTES as u64;
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(failed)?)
    };
    let mut text = String::new();
    source.take(limit + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > limit {
        return Err(CliError::FileTooLarge { path: path.to_owned(), limit });
    }
    Ok(text)
}
