//! A configuration in a link, stored without changes.

use mixer::Task;
use serde::{Deserialize, Serialize};

use super::LinkError;
use super::list::{LANES, LENGTHS, List, PARAMS, WORDS};
use super::words::{Reader, Writer};
use crate::{BackendName, Config, FullLane, LaneConfig, LevelName, ParamValue, Threads};

/// A link that holds a configuration.
#[derive(Serialize, Deserialize)]
pub(super) struct Body {
    words: List<String, WORDS>,
    config: LinkConfig,
}

impl Body {
    pub(super) fn new(config: &Config) -> Self {
        let mut words = Writer::default();
        let config = LinkConfig::new(config, &mut words);
        Self { words: words.finish().into(), config }
    }

    pub(super) fn config(&self, mode: Task) -> Result<Config, LinkError> {
        self.config.config(&Reader(&self.words), mode)
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct LinkConfig {
    systems: List<LinkLane, LANES>,
    /// When decoding, the lengths of contexts.
    lengths: List<u32, LENGTHS>,
    width: u32,
    heads: u32,
    batch: u32,
    causal: bool,
    level: LinkLevel,
    backend: LinkBackend,
    /// 0 stands for `auto`.
    threads: u32,
    budget_ms: LinkNumber,
    seed: u32,
}

#[derive(Serialize, Deserialize)]
struct LinkLane {
    system: u32,
    form: LinkForm,
}

#[derive(Serialize, Deserialize)]
enum LinkForm {
    Name,
    Full { backend: Option<LinkBackend>, params: LinkParams },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum LinkLevel {
    Core,
    Layer,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum LinkBackend {
    Cpu,
    Webgpu,
    Auto,
}

/// A number that is usually whole.
#[derive(Serialize, Deserialize)]
enum LinkNumber {
    Whole(u64),
    Real(f64),
}

/// Parameters in name order.
#[derive(Serialize, Deserialize)]
pub(super) struct LinkParams(List<(u32, LinkValue), PARAMS>);

#[derive(Serialize, Deserialize)]
enum LinkValue {
    No,
    Yes,
    Int(i64),
    Short(f32),
    Long(f64),
    Text(u32),
}

impl LinkConfig {
    pub(super) fn new(config: &Config, words: &mut Writer) -> Self {
        Self {
            systems: config.systems.iter().map(|lane| LinkLane::new(lane, words)).collect(),
            lengths: config.lengths.clone().into(),
            width: config.width,
            heads: config.heads,
            batch: config.batch,
            causal: config.causal,
            level: match config.level {
                LevelName::Core => LinkLevel::Core,
                LevelName::Layer => LinkLevel::Layer,
            },
            backend: config.backend.into(),
            threads: match config.threads {
                Threads::Auto => 0,
                Threads::Count(count) => count,
            },
            budget_ms: if config.budget_ms.fract() == 0.0 {
                LinkNumber::Whole(config.budget_ms as u64)
            } else {
                LinkNumber::Real(config.budget_ms)
            },
            seed: config.seed,
        }
    }

    pub(super) fn config(&self, words: &Reader, mode: Task) -> Result<Config, LinkError> {
        Ok(Config {
            systems: self.systems.iter().map(|lane| lane.lane(words)).collect::<Result<_, _>>()?,
            mode,
            lengths: self.lengths.to_vec(),
            width: self.width,
            heads: self.heads,
            batch: self.batch,
            causal: self.causal,
            level: match self.level {
                LinkLevel::Core => LevelName::Core,
                LinkLevel::Layer => LevelName::Layer,
            },
            backend: self.backend.into(),
            threads: match self.threads {
                0 => Threads::Auto,
                count => Threads::Count(count),
            },
            budget_ms: match self.budget_ms {
                LinkNumber::Whole(whole) => whole as f64,
                LinkNumber::Real(real) => real,
            },
            seed: self.seed,
        })
    }
}

impl LinkLane {
    fn new(lane: &LaneConfig, words: &mut Writer) -> Self {
        let system = words.put(lane.system());
        let form = match lane {
            LaneConfig::Name(_) => LinkForm::Name,
            LaneConfig::Full(lane) => LinkForm::Full {
                backend: lane.backend.map(LinkBackend::from),
                params: LinkParams::new(&lane.params, words),
            },
        };
        Self { system, form }
    }

    fn lane(&self, words: &Reader) -> Result<LaneConfig, LinkError> {
        let system = words.get(self.system)?;
        Ok(match &self.form {
            LinkForm::Name => LaneConfig::Name(system),
            LinkForm::Full { backend, params } => LaneConfig::Full(FullLane {
                system,
                backend: backend.map(BackendName::from),
                params: params.params(words)?,
            }),
        })
    }
}

impl LinkParams {
    pub(super) fn new(params: &std::collections::BTreeMap<String, ParamValue>, words: &mut Writer) -> Self {
        let mut one = |(name, value): (&String, &ParamValue)| {
            let name = words.put(name);
            let value = match value {
                ParamValue::Bool(false) => LinkValue::No,
                ParamValue::Bool(true) => LinkValue::Yes,
                ParamValue::Int(whole) => LinkValue::Int(*whole),
                ParamValue::Float(real) if f64::from(*real as f32).to_bits() == real.to_bits() => {
                    LinkValue::Short(*real as f32)
                }
                ParamValue::Float(real) => LinkValue::Long(*real),
                ParamValue::Text(word) => LinkValue::Text(words.put(word)),
            };
            (name, value)
        };
        Self(params.iter().map(&mut one).collect())
    }

    pub(super) fn params(
        &self,
        words: &Reader,
    ) -> Result<std::collections::BTreeMap<String, ParamValue>, LinkError> {
        let one = |(name, value): &(u32, LinkValue)| {
            let value = match value {
                LinkValue::No => ParamValue::Bool(false),
                LinkValue::Yes => ParamValue::Bool(true),
                LinkValue::Int(whole) => ParamValue::Int(*whole),
                LinkValue::Short(real) => ParamValue::Float(f64::from(*real)),
                LinkValue::Long(real) => ParamValue::Float(*real),
                LinkValue::Text(word) => ParamValue::Text(words.get(*word)?),
            };
            Ok((words.get(*name)?, value))
        };
        self.0.iter().map(one).collect()
    }
}

impl From<BackendName> for LinkBackend {
    fn from(name: BackendName) -> Self {
        match name {
            BackendName::Cpu => Self::Cpu,
            BackendName::Webgpu => Self::Webgpu,
            BackendName::Auto => Self::Auto,
        }
    }
}

impl From<LinkBackend> for BackendName {
    fn from(name: LinkBackend) -> Self {
        match name {
            LinkBackend::Cpu => Self::Cpu,
            LinkBackend::Webgpu => Self::Webgpu,
            LinkBackend::Auto => Self::Auto,
        }
    }
}
