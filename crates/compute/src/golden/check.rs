//! Checks of a golden file's statements against the system that runs it.

use mixer::{Info, MixerError, Tensors, Tolerance, Value, text};

use super::{GoldenCase, GoldenError};
use crate::ComputeError;

/// Largest tolerance of a file, as a multiple of the system's own. Outputs differ in scale from file to file, so a file
/// may state a larger tolerance, but one far beyond the system's would let wrong outputs pass.
const MOST_ABS: f64 = 50.0;
const MOST_REL: f64 = 10.0;

/// Configuration keys that every system accepts.
const COMMON: [&str; 7] = ["batch", "length", "d_model", "heads", "head_dim", "causal", "scale"];

/// Tensors that were never read and that contain no expected values, with names cleaned for display.
pub(crate) fn unread_tensors(tensors: &Tensors, info: &'static Info) -> Vec<String> {
    let known = |name: &str| name == "y" || name.starts_with("mid.") || info.spare.contains(&name);
    tensors.unread().filter(|name| !known(name)).map(text::shown).collect()
}

/// Refuses a file that contradicts the system or itself. Returns the configuration keys that are never read.
///
/// # Errors
/// [`GoldenError::Tolerance`], [`GoldenError::OutputShape`], [`MixerError::InvalidField`].
pub(crate) fn check(golden: &GoldenCase, info: &'static Info) -> Result<Vec<String>, ComputeError> {
    tolerance(golden.tolerance, info)?;
    causality(golden, info)?;
    shape(golden)?;
    let known = |name: &str| {
        COMMON.contains(&name)
            || info.config.contains(&name)
            || info.params.iter().any(|param| param.name == name)
    };
    let unread = golden.case.config.iter().filter(|(name, _)| !known(name));
    Ok(unread.map(|(name, _)| text::shown(name)).collect())
}

fn tolerance(stated: Tolerance, info: &'static Info) -> Result<(), GoldenError> {
    let parts = [
        ("abs", stated.abs, MOST_ABS * info.tolerance.abs),
        ("rel", stated.rel, MOST_REL * info.tolerance.rel),
    ];
    match parts.into_iter().find(|(_, got, most)| got > most) {
        Some((part, got, most)) => Err(GoldenError::Tolerance { part, got, system: info.id, most }),
        None => Ok(()),
    }
}

/// Refuses a causal file for a bidirectional system and vice versa.
fn causality(golden: &GoldenCase, info: &Info) -> Result<(), MixerError> {
    let Some(&Value::Bool(causal)) = golden.case.config.get("causal") else {
        golden.case.config.flag_or("causal", false)?;
        return Ok(());
    };
    if info.runs_causally(causal) != causal {
        let form = if causal { "false: it has no causal form" } else { "true: it has no bidirectional form" };
        return Err(MixerError::invalid("causal", format!("{form} ({})", info.id), causal));
    }
    if causal && golden.case.config.flag_or("bidirectional", false)? {
        return Err(MixerError::invalid("bidirectional", "false where causal is true", true));
    }
    Ok(())
}

/// Checks that the output is `[batch, length, …]`, as far as the configuration states these; a filter may shorten the
/// length.
fn shape(golden: &GoldenCase) -> Result<(), ComputeError> {
    let config = &golden.case.config;
    let stated = |name: &str| match config.get(name) {
        Some(Value::Int(count)) => usize::try_from(*count).ok(),
        _ => None,
    };
    let Some(batch) = stated("batch") else { return Ok(()) };
    let length = stated("length").map(|length| stated("l_max").map_or(length, |most| length.min(most)));
    let fits = golden.shape.first() == Some(&batch)
        && length.is_none_or(|length| golden.shape.get(1) == Some(&length));
    if fits {
        return Ok(());
    }
    let expected = match length {
        Some(length) => format!("the configuration makes it [{batch}, {length}, …]"),
        None => format!("the configuration makes it [{batch}, …]"),
    };
    Err(GoldenError::OutputShape { expected, got: golden.shape.clone() }.into())
}
