//! The configuration of a race, as users write it in the page's API, in links and on the command line. Every field has
//! a default, unknown fields are refused by name, and a single validator turns it into the engine's specification.

mod json;

use std::collections::BTreeMap;

use mixer::Task;
use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
pub(crate) use json::Fields;
pub(crate) use json::raced;

/// A race's configuration. JSON, camel case; `json` has the names of its fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "json::Fields", into = "json::Fields")]
pub struct Config {
    /// The lanes.
    pub systems: Vec<LaneConfig>,
    /// The timed work at each length: the forward pass, or decoding after a context.
    pub mode: Task,
    /// The raced lengths, whatever the mode: sequence lengths, or when decoding the lengths of contexts.
    pub lengths: Vec<u32>,
    /// Model width.
    pub width: u32,
    /// Heads; divides the width.
    pub heads: u32,
    /// Sequences in a batch.
    pub batch: u32,
    /// Whether systems that have both forms run the causal one; true when decoding.
    pub causal: bool,
    /// `core` or `layer`.
    pub level: LevelName,
    /// Backend of lanes that do not name one.
    pub backend: BackendName,
    /// CPU threads.
    pub threads: Threads,
    /// Time limit of the whole race, in milliseconds.
    pub budget_ms: f64,
    /// Seed of inputs, weights and schedule.
    pub seed: u32,
}

impl Config {
    /// Tokens generated in a run, unless a configuration says otherwise.
    pub const DEFAULT_TOKENS: usize = 128;
}

impl Default for Config {
    fn default() -> Self {
        Self {
            systems: vec![LaneConfig::Name("attention".to_owned()), LaneConfig::Name("hyena".to_owned())],
            mode: Task::Forward,
            lengths: vec![256, 512, 1024, 2048, 4096, 8192, 16_384],
            width: 256,
            heads: 4,
            batch: 1,
            causal: true,
            level: LevelName::Layer,
            backend: BackendName::Auto,
            threads: Threads::Auto,
            budget_ms: 120_000.0,
            seed: 1,
        }
    }
}

/// `forward` or `decode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ModeName {
    /// The time of one forward pass over a sequence of each length.
    #[default]
    Forward,
    /// The time of one generated token after a context of each length.
    Decode,
}

/// One lane: a name, or an object with backend and parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum LaneConfig {
    /// The system's name alone.
    Name(String),
    /// The system with its backend and parameters.
    Full(FullLane),
}

/// A lane with optional backend and parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FullLane {
    /// The system's stable name.
    pub system: String,
    /// Backend; by default the race's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendName>,
    /// Parameters; by default the paper's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, ParamValue>,
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ParamValue {
    /// A flag.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A word.
    Text(String),
}

/// `core` or `layer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LevelName {
    /// The mixing of streams that are already projected.
    Core,
    /// The whole layer with all its projections.
    Layer,
}

/// `cpu`, `webgpu` or `auto`: the GPU where one works, otherwise the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum BackendName {
    /// SIMD and threads.
    Cpu,
    /// WebGPU.
    Webgpu,
    /// The GPU where one works, otherwise the CPU.
    Auto,
}

/// `"auto"` or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// All threads that the machine offers.
    Auto,
    /// This number of threads.
    Count(u32),
}

impl Serialize for Threads {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Count(count) => serializer.serialize_u32(*count),
        }
    }
}

impl<'de> Deserialize<'de> for Threads {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Word(String),
            Count(u32),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Word(word) if word == "auto" => Ok(Self::Auto),
            Raw::Count(count) => Ok(Self::Count(count)),
            Raw::Word(word) => Err(serde::de::Error::custom(format!(
                "threads: must be \"auto\" or a whole number, got \"{word}\""
            ))),
        }
    }
}
