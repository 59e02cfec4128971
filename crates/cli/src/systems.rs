//! `crossover systems`: lists the systems that can race.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use mixer::MixerError;
use report::SystemEntry;

use crate::args::SystemsArgs;
use crate::error::CliError;
use crate::pattern::patterns;

/// The papers of all systems, from their READMEs.
pub const BIBLIOGRAPHY: &str = include_str!(concat!(env!("OUT_DIR"), "/systems.bib"));

/// The line before a system's papers.
const MARK: &str = "% system: ";

/// The catalogue of systems, as in the page.
pub fn entries() -> Vec<SystemEntry> {
    kernels::catalogue().map(|(info, decodes)| SystemEntry::new(info, decodes)).collect()
}

/// Prints the systems.
///
/// # Errors
/// Standard output that cannot be written, or errors of a system's case for its pattern.
pub fn run(args: &SystemsArgs) -> Result<ExitCode, CliError> {
    if args.patterns {
        let patterns = kernels::systems()
            .map(|system| Ok((system.info().id, patterns(system)?)))
            .collect::<Result<BTreeMap<_, _>, MixerError>>()?;
        writeln!(std::io::stdout().lock(), "{}", serde_json::to_string(&patterns)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout().lock();
    if args.bibtex {
        // The fixture's folder has a paper too, but tests alone register it.
        for entry in BIBLIOGRAPHY.split(MARK).skip(1) {
            let id = entry.lines().next().unwrap_or_default();
            if kernels::infos().iter().any(|info| info.id == id) {
                write!(out, "{MARK}{entry}")?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let entries = entries();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&entries)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = |text: fn(&SystemEntry) -> &str| {
        entries.iter().map(|entry| text(entry).chars().count()).max().unwrap_or_default()
    };
    let (ids, complexities) = (width(|entry| &entry.id), width(|entry| &entry.complexity));
    for entry in &entries {
        writeln!(
            out,
            "{:ids$}  {:complexities$}  {:18}  {} ({})",
            entry.id, entry.complexity, entry.causality, entry.paper, entry.year
        )?;
        for param in &entry.params {
            let range = match (param.low, param.high) {
                (Some(low), Some(high)) => format!("{low} to {high}"),
                _ if !param.choices.is_empty() => param.choices.join(", "),
                _ => "true or false".to_owned(),
            };
            let default = mixer::Value::from(&param.default);
            writeln!(out, "{:ids$}    {}={default} ({range}): {}", "", param.name, param.help)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
