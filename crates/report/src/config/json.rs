//! The JSON of a configuration. The raced lengths are `lengths` in a race of forward passes; in a decode race they are
//! `contexts`, beside `mode` and `tokens`, which other races lack.

use mixer::Task;
use serde::{Deserialize, Deserializer, Serialize};

use super::{BackendName, Config, LaneConfig, LevelName, ModeName, Threads};
use crate::{ConfigError, Hint};

/// A race's configuration. JSON, camel case.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Config"))]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Fields {
    /// The lanes.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 28)))]
    systems: Vec<LaneConfig>,
    /// The timed work: `forward` (the default), one forward pass over a sequence of each length, or `decode`, one
    /// generated token after a context of each length.
    #[serde(skip_serializing_if = "is_forward")]
    mode: ModeName,
    /// Sequence lengths. Not in a decode race, which has `contexts` instead.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<u32>", length(min = 1, max = 32)))]
    lengths: Option<Vec<u32>>,
    /// Lengths of the contexts after which tokens are generated. Only in a decode race.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<u32>", length(min = 1, max = 32)))]
    contexts: Option<Vec<u32>>,
    /// Tokens generated one by one after a context, in each run. The state has room for the context and these tokens.
    /// Only in a decode race.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1, max = 4096)))]
    tokens: Option<u32>,
    /// Model width.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4096)))]
    width: u32,
    /// Heads; divides the width.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4096)))]
    heads: u32,
    /// Sequences in a batch.
    batch: u32,
    /// Whether systems that have both forms run the causal one; true when decoding.
    causal: bool,
    /// `core` or `layer`.
    level: LevelName,
    /// Backend of lanes that do not name one.
    backend: BackendName,
    /// CPU threads.
    threads: Threads,
    /// Time limit of the whole race, in milliseconds.
    #[cfg_attr(feature = "schema", schemars(range(min = 100.0, max = 86_400_000.0)))]
    budget_ms: f64,
    /// Seed of inputs, weights and schedule.
    seed: u32,
}

impl Default for Fields {
    /// No lengths, so that those of the mode that the JSON names can be told from those that it lacks.
    fn default() -> Self {
        Self { lengths: None, ..Self::from(Config::default()) }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_forward(mode: &ModeName) -> bool {
    *mode == ModeName::Forward
}

/// A field that may be absent, but not null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The mode and the raced lengths, of the fields that hold them.
pub(crate) fn raced(
    mode: ModeName,
    lengths: Option<Vec<u32>>,
    contexts: Option<Vec<u32>>,
    tokens: Option<usize>,
) -> Result<(Task, Vec<u32>), ConfigError> {
    let strange = |field: &str, hint: Hint| ConfigError::OtherMode { field: field.to_owned(), hint };
    let (mode, raced) = match mode {
        ModeName::Forward if contexts.is_some() => return Err(strange("contexts", Hint::SetDecode)),
        ModeName::Forward if tokens.is_some() => return Err(strange("tokens", Hint::SetDecode)),
        ModeName::Decode if lengths.is_some() => return Err(strange("lengths", Hint::UseContexts)),
        ModeName::Forward => (Task::Forward, lengths),
        ModeName::Decode => (Task::Decode { tokens: tokens.unwrap_or(Config::DEFAULT_TOKENS) }, contexts),
    };
    Ok((mode, raced.unwrap_or_else(|| Config::default().lengths)))
}

impl TryFrom<Fields> for Config {
    type Error = ConfigError;

    fn try_from(fields: Fields) -> Result<Self, ConfigError> {
        let Fields {
            systems,
            mode,
            lengths,
            contexts,
            tokens,
            width,
            heads,
            batch,
            causal,
            level,
            backend,
            threads,
            budget_ms,
            seed,
        } = fields;
        let (mode, lengths) = raced(mode, lengths, contexts, tokens.map(|tokens| tokens as usize))?;
        Ok(Self {
            systems,
            mode,
            lengths,
            width,
            heads,
            batch,
            causal,
            level,
            backend,
            threads,
            budget_ms,
            seed,
        })
    }
}

impl From<Config> for Fields {
    fn from(config: Config) -> Self {
        let Config {
            systems,
            mode,
            lengths,
            width,
            heads,
            batch,
            causal,
            level,
            backend,
            threads,
            budget_ms,
            seed,
        } = config;
        let (mode, lengths, contexts, tokens) = match mode {
            Task::Forward => (ModeName::Forward, Some(lengths), None, None),
            Task::Decode { tokens } => {
                (ModeName::Decode, None, Some(lengths), Some(u32::try_from(tokens).unwrap_or(u32::MAX)))
            }
        };
        Self {
            systems,
            mode,
            lengths,
            contexts,
            tokens,
            width,
            heads,
            batch,
            causal,
            level,
            backend,
            threads,
            budget_ms,
            seed,
        }
    }
}
