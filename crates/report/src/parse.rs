//! Reads a configuration's JSON. Hand-written rather than derived, so that an error can name the field as in the public
//! API, its valid range and the value given.

use std::collections::BTreeMap;

use mixer::{Allowed, Problem};
use serde_json::{Map, Value};

use crate::config::raced;
use crate::resolve::{BUDGET, MAX_THREADS};
use crate::{
    BackendName, Config, ConfigError, FullLane, LaneConfig, LevelName, ModeName, ParamValue, Threads,
};

const FIELDS: &str = "systems, mode, lengths, contexts, tokens, width, heads, batch, causal, level, backend, threads, budgetMs, seed";
const LANE_FIELDS: &str = "system, backend, params";

impl Config {
    /// Longest JSON accepted, in bytes.
    pub const MAX_JSON_BYTES: usize = 64 << 10;

    /// Reads a configuration from JSON. Missing fields take their defaults.
    ///
    /// # Errors
    /// [`ConfigError`] names the wrong field and its valid range. Names of systems and parameters are checked by
    /// [`Config::resolve`].
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        if text.len() > Self::MAX_JSON_BYTES {
            return Err(ConfigError::TooLarge { got: text.len(), limit: Self::MAX_JSON_BYTES });
        }
        // The parser limits nesting to 128 levels.
        let value: Value =
            serde_json::from_str(text).map_err(|error| ConfigError::Syntax { reason: error.to_string() })?;
        Self::from_value(&value)
    }

    /// Reads a configuration from a parsed value.
    ///
    /// # Errors
    /// As for [`Config::from_json`].
    pub fn from_value(value: &Value) -> Result<Self, ConfigError> {
        let fields = value.as_object().ok_or_else(|| invalid("config", Allowed::Fields, value))?;
        let mut config = Self::default();
        let (mut mode, mut of_sequences, mut of_contexts, mut tokens) = (ModeName::Forward, None, None, None);
        for (name, value) in fields {
            match name.as_str() {
                "systems" => config.systems = lanes(value)?,
                "mode" => mode = self::mode(name, value)?,
                "lengths" => of_sequences = Some(lengths("lengths", value)?),
                "contexts" => of_contexts = Some(lengths("contexts", value)?),
                "tokens" => tokens = Some(whole(name, value, 1, Problem::MAX_TOKENS as u32)? as usize),
                "width" => config.width = whole(name, value, 1, Problem::MAX_D_MODEL as u32)?,
                "heads" => config.heads = whole(name, value, 1, Problem::MAX_D_MODEL as u32)?,
                "batch" => config.batch = whole(name, value, 1, Problem::MAX_BATCH as u32)?,
                "causal" => {
                    config.causal = value.as_bool().ok_or_else(|| invalid(name, Allowed::Flag, value))?;
                }
                "level" => config.level = level(name, value)?,
                "backend" => config.backend = backend(name, value)?,
                "threads" => config.threads = threads(name, value)?,
                "budgetMs" => {
                    config.budget_ms = value.as_f64().ok_or_else(|| invalid(name, BUDGET, value))?;
                }
                "seed" => config.seed = whole(name, value, 0, u32::MAX)?,
                other => return Err(unknown("", other, FIELDS)),
            }
        }
        (config.mode, config.lengths) = raced(mode, of_sequences, of_contexts, tokens)?;
        config.check()?;
        Ok(config)
    }
}

fn invalid(field: &str, allowed: Allowed, value: &Value) -> ConfigError {
    let got = match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    };
    ConfigError::invalid(field, allowed, got)
}

fn unknown(prefix: &str, field: &str, known: &str) -> ConfigError {
    ConfigError::UnknownField {
        field: format!("{prefix}{}", crate::text::shown(field)),
        known: known.to_owned(),
    }
}

/// A whole number. As in JavaScript, 4 and 4.0 are equal.
fn whole(field: &str, value: &Value, low: u32, high: u32) -> Result<u32, ConfigError> {
    value
        .as_f64()
        .filter(|number| number.fract() == 0.0 && (f64::from(low)..=f64::from(high)).contains(number))
        .map(|number| number as u32)
        .ok_or_else(|| invalid(field, Allowed::whole(low as usize, high as usize), value))
}

fn mode(field: &str, value: &Value) -> Result<ModeName, ConfigError> {
    match value.as_str() {
        Some("forward") => Ok(ModeName::Forward),
        Some("decode") => Ok(ModeName::Decode),
        _ => Err(invalid(field, Allowed::one_of(&["\"forward\"", "\"decode\""]), value)),
    }
}

fn lengths(field: &'static str, value: &Value) -> Result<Vec<u32>, ConfigError> {
    // The text of the page's field.
    if let Value::String(text) = value {
        return crate::parse_lengths(text).map_err(|error| ConfigError::of_lengths(field, error));
    }
    let list = value.as_array().ok_or_else(|| invalid(field, Allowed::WholeNumbers, value))?;
    list.iter().map(|length| whole(field, length, 1, Problem::MAX_SEQ_LEN as u32)).collect()
}

fn level(field: &str, value: &Value) -> Result<LevelName, ConfigError> {
    match value.as_str() {
        Some("core") => Ok(LevelName::Core),
        Some("layer") => Ok(LevelName::Layer),
        _ => Err(invalid(field, Allowed::Level, value)),
    }
}

fn backend(field: &str, value: &Value) -> Result<BackendName, ConfigError> {
    match value.as_str() {
        Some("cpu") => Ok(BackendName::Cpu),
        Some("webgpu") => Ok(BackendName::Webgpu),
        Some("auto") => Ok(BackendName::Auto),
        _ => Err(invalid(field, Allowed::Backend, value)),
    }
}

fn threads(field: &str, value: &Value) -> Result<Threads, ConfigError> {
    if value.as_str() == Some("auto") {
        return Ok(Threads::Auto);
    }
    whole(field, value, 1, MAX_THREADS)
        .map(Threads::Count)
        .map_err(|_| invalid(field, Allowed::AutoOrWhole { high: u64::from(MAX_THREADS) }, value))
}

fn lanes(value: &Value) -> Result<Vec<LaneConfig>, ConfigError> {
    let list = value.as_array().ok_or_else(|| invalid("systems", Allowed::Lanes, value))?;
    list.iter().enumerate().map(|(index, value)| lane(index, value)).collect()
}

fn lane(index: usize, value: &Value) -> Result<LaneConfig, ConfigError> {
    let at = format!("systems[{index}]");
    let fields: &Map<String, Value> = match value {
        Value::String(name) => return Ok(LaneConfig::Name(name.clone())),
        Value::Object(fields) => fields,
        _ => {
            return Err(invalid(&at, Allowed::Lane, value));
        }
    };
    if let Some(name) = fields.keys().find(|name| !matches!(name.as_str(), "system" | "backend" | "params")) {
        return Err(unknown(&format!("{at}."), name, LANE_FIELDS));
    }
    let field = format!("{at}.system");
    let system = fields.get("system").ok_or_else(|| ConfigError::MissingField { field: field.clone() })?;
    let system = system.as_str().ok_or_else(|| invalid(&field, Allowed::SystemName, system))?.to_owned();
    let backend = fields.get("backend").map(|value| backend(&format!("{at}.backend"), value)).transpose()?;
    let params =
        fields.get("params").map_or(Ok(BTreeMap::new()), |value| params(&format!("{at}.params"), value))?;
    Ok(LaneConfig::Full(FullLane { system, backend, params }))
}

fn params(field: &str, value: &Value) -> Result<BTreeMap<String, ParamValue>, ConfigError> {
    let fields = value.as_object().ok_or_else(|| invalid(field, Allowed::Params, value))?;
    let one = |(name, value): (&String, &Value)| {
        let parsed = match value {
            Value::Bool(flag) => ParamValue::Bool(*flag),
            Value::String(word) => ParamValue::Text(word.clone()),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => ParamValue::Int(whole),
                // Whole numbers from JavaScript may arrive as 4.0.
                (None, Some(real)) if real.fract() == 0.0 && real.abs() < MAX_EXACT => {
                    ParamValue::Int(real as i64)
                }
                (None, Some(real)) => ParamValue::Float(real),
                (None, None) => return Err(invalid(&param_field(field, name), Allowed::Finite, value)),
            },
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(invalid(&param_field(field, name), Allowed::ParamValue, value));
            }
        };
        Ok((name.clone(), parsed))
    };
    fields.iter().map(one).collect()
}

/// 2⁵³, from which an f64 cannot distinguish neighbouring whole numbers.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

fn param_field(field: &str, name: &str) -> String {
    format!("{field}.{}", crate::text::shown(name))
}
