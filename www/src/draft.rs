//! The configuration in the form. Every field is text, so that no input is lost, and is checked separately, so that
//! every error appears at its field with the valid range.

use std::collections::BTreeMap;

use mixer::{Problem, Task};
use report::{
    BackendName, Config, FullLane, LaneConfig, LengthsError, LevelName, ParamEntry, ParamValue, SystemEntry,
    Threads, lengths_text, parse_lengths, parse_whole,
};

use crate::text::Text;
use crate::typed;
use chart::format;

/// Most lanes in a race.
pub const MAX_LANES: usize = 28;
/// Most threads that may be asked for.
const MAX_THREADS: u32 = 256;
/// Least and greatest budget in seconds.
const BUDGET_S: (f64, f64) = (1.0, 3600.0);

/// A lane being edited.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneDraft {
    /// Number that identifies the lane while others are added and removed.
    pub key: u32,
    /// The system's stable name.
    pub system: String,
    /// Its own backend; by default the race's.
    pub backend: Option<BackendName>,
    /// Parameters as typed; only those that the user has edited.
    pub params: BTreeMap<String, String>,
}

/// A configuration being edited.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Lanes.
    pub lanes: Vec<LaneDraft>,
    /// Whether generated tokens are timed instead of forward passes.
    pub decoding: bool,
    /// Tokens generated in a run of a decode race.
    pub tokens: String,
    /// Lengths, of sequences or of contexts: `256..16384` doubles, `256, 384, 512` is a list; both may be mixed.
    pub lengths: String,
    /// Model width.
    pub width: String,
    /// Heads.
    pub heads: String,
    /// Sequences in a batch.
    pub batch: String,
    /// Whether systems that have both forms run the causal one. Decoding always does; the field keeps the choice for
    /// forward passes.
    pub causal: bool,
    /// Core or layer.
    pub level: LevelName,
    /// Backend of lanes that do not name one.
    pub backend: BackendName,
    /// `auto` or a number; empty means `auto`.
    pub threads: String,
    /// Budget in seconds, as typed.
    pub budget_s: String,
    /// Seed.
    pub seed: String,
    /// The next lane's key.
    next_key: u32,
}

/// Fields of the form, named as in the public configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The list of lanes.
    Systems,
    /// One lane's parameter: the lane's key and the parameter's name.
    Param(u32, String),
    /// One lane as a whole, by key.
    Lane(u32),
    /// Lengths.
    Lengths,
    /// Generated tokens.
    Tokens,
    /// Width.
    Width,
    /// Heads.
    Heads,
    /// Batch.
    Batch,
    /// Threads.
    Threads,
    /// Budget.
    Budget,
    /// Seed.
    Seed,
}

/// Error messages by field.
pub type Errors = BTreeMap<Field, String>;

impl Draft {
    /// A draft of `config`.
    pub fn new(config: &Config) -> Self {
        let lanes: Vec<LaneDraft> = config
            .systems
            .iter()
            .zip(0..)
            .map(|(lane, key)| match lane {
                LaneConfig::Name(system) => {
                    LaneDraft { key, system: system.clone(), backend: None, params: BTreeMap::new() }
                }
                LaneConfig::Full(full) => LaneDraft {
                    key,
                    system: full.system.clone(),
                    backend: full.backend,
                    params: full.params.iter().map(|(name, value)| (name.clone(), shown(value))).collect(),
                },
            })
            .collect();
        Self {
            next_key: lanes.len() as u32,
            lanes,
            decoding: config.mode != Task::Forward,
            tokens: match config.mode {
                Task::Forward => Config::DEFAULT_TOKENS,
                Task::Decode { tokens } => tokens,
            }
            .to_string(),
            lengths: lengths_text(&config.lengths),
            width: config.width.to_string(),
            heads: config.heads.to_string(),
            batch: config.batch.to_string(),
            causal: config.causal,
            level: config.level,
            backend: config.backend,
            threads: match config.threads {
                Threads::Auto => String::new(),
                Threads::Count(count) => count.to_string(),
            },
            budget_s: plain(config.budget_ms / 1000.0),
            seed: config.seed.to_string(),
        }
    }

    /// Replaces the draft by `config`. New lanes get new keys, so that no widget is reused for another lane.
    pub fn replace(&mut self, config: &Config) {
        let offset = self.next_key;
        *self = Self::new(config);
        for lane in &mut self.lanes {
            lane.key += offset;
        }
        self.next_key += offset;
    }

    /// What the draft times, with the usual number of tokens.
    pub fn mode(&self) -> Task {
        if self.decoding { Task::Decode { tokens: Config::DEFAULT_TOKENS } } else { Task::Forward }
    }

    /// Adds a lane of `system`.
    pub fn add(&mut self, system: &str) {
        self.lanes.push(LaneDraft {
            key: self.next_key,
            system: system.to_owned(),
            backend: None,
            params: BTreeMap::new(),
        });
        self.next_key += 1;
    }

    /// Removes a lane.
    pub fn remove(&mut self, key: u32) {
        self.lanes.retain(|lane| lane.key != key);
    }

    /// Checks all fields and returns the configuration, or the errors of all fields.
    ///
    /// # Errors
    /// One message per invalid field.
    pub fn check(&self, systems: &[SystemEntry], text: &Text) -> Result<Config, Errors> {
        let mut errors = Errors::new();
        let lanes = self.check_lanes(systems, text, &mut errors);
        let mut number = |field: Field, typed: &str, low: u32, high: u32| {
            whole(typed, low, high, text).unwrap_or_else(|message| {
                errors.insert(field, message);
                low
            })
        };
        let width = number(Field::Width, &self.width, 1, Problem::MAX_D_MODEL as u32);
        let heads = number(Field::Heads, &self.heads, 1, Problem::MAX_D_MODEL as u32);
        let batch = number(Field::Batch, &self.batch, 1, Problem::MAX_BATCH as u32);
        let seed = number(Field::Seed, &self.seed, 0, u32::MAX);
        // The field is not shown for forward passes, so an error in it would not be seen.
        let tokens = if self.decoding {
            number(Field::Tokens, &self.tokens, 1, Problem::MAX_TOKENS as u32)
        } else {
            0
        };
        let mode = if self.decoding { Task::Decode { tokens: tokens as usize } } else { Task::Forward };
        if !errors.contains_key(&Field::Width)
            && !errors.contains_key(&Field::Heads)
            && !width.is_multiple_of(heads)
        {
            errors.insert(Field::Heads, (text.error_divisor)(&width.to_string(), &divisors(width)));
        }
        let lengths = parse_lengths(&self.lengths).unwrap_or_else(|error| {
            errors.insert(Field::Lengths, lengths_message(&error, text));
            Vec::new()
        });
        if !errors.contains_key(&Field::Batch) && !errors.contains_key(&Field::Width) {
            let longest = Problem::MAX_ELEMENTS / (u64::from(batch) * u64::from(width)).max(1);
            // The generated tokens follow the context.
            let longest = longest.saturating_sub(u64::from(tokens));
            if lengths.iter().any(|&length| u64::from(length) > longest) {
                errors.insert(Field::Lengths, (text.error_elements)(&format::length(longest as f64)));
            }
        }
        let threads = match self.threads.trim() {
            "" | "auto" => Ok(Threads::Auto),
            typed => whole(typed, 1, MAX_THREADS, text).map(Threads::Count),
        };
        let threads = threads.unwrap_or_else(|_| {
            errors.insert(Field::Threads, (text.error_threads)(MAX_THREADS));
            Threads::Auto
        });
        let budget_s = typed::number(&self.budget_s).filter(|s| (BUDGET_S.0..=BUDGET_S.1).contains(s));
        if budget_s.is_none() {
            errors
                .insert(Field::Budget, (text.error_number)(&plain(BUDGET_S.0), &format::length(BUDGET_S.1)));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Config {
            systems: lanes,
            mode,
            lengths,
            width,
            heads,
            batch,
            causal: self.causal || self.decoding,
            level: self.level,
            backend: self.backend,
            threads,
            budget_ms: budget_s.unwrap_or(BUDGET_S.0) * 1000.0,
            seed,
        })
    }

    fn check_lanes(&self, systems: &[SystemEntry], text: &Text, errors: &mut Errors) -> Vec<LaneConfig> {
        if self.lanes.is_empty() {
            errors.insert(Field::Systems, text.error_no_lanes.to_owned());
        } else if self.lanes.len() > MAX_LANES {
            errors.insert(Field::Systems, (text.error_too_many_lanes)(MAX_LANES));
        }
        let mut lanes: Vec<LaneConfig> = Vec::with_capacity(self.lanes.len());
        for draft in &self.lanes {
            let entry = systems.iter().find(|entry| entry.id == draft.system);
            // Before the catalogue is loaded, no system can be called unknown. The engine checks again.
            if entry.is_none() && !systems.is_empty() {
                errors.insert(Field::Lane(draft.key), (text.error_unknown_system)(&draft.system));
            }
            let mut params = BTreeMap::new();
            for (name, typed) in &draft.params {
                let spec = entry.and_then(|entry| entry.params.iter().find(|param| param.name == *name));
                match spec {
                    None if entry.is_some() => {
                        errors.insert(Field::Lane(draft.key), (text.error_unknown_param)(name));
                    }
                    None => {
                        params.insert(name.clone(), guess(typed));
                    }
                    Some(spec) => match param(spec, typed, text) {
                        Ok(value) if value == spec.default => {}
                        Ok(value) => {
                            params.insert(name.clone(), value);
                        }
                        Err(message) => {
                            errors.insert(Field::Param(draft.key, name.clone()), message);
                        }
                    },
                }
            }
            let lane = if draft.backend.is_none() && params.is_empty() {
                LaneConfig::Name(draft.system.clone())
            } else {
                LaneConfig::Full(FullLane { system: draft.system.clone(), backend: draft.backend, params })
            };
            if lanes.contains(&lane) {
                errors.insert(Field::Lane(draft.key), text.error_twin.to_owned());
            }
            lanes.push(lane);
        }
        lanes
    }
}

fn shown(value: &ParamValue) -> String {
    match value {
        ParamValue::Bool(value) => value.to_string(),
        ParamValue::Int(value) => value.to_string(),
        ParamValue::Float(value) => value.to_string(),
        ParamValue::Text(value) => value.clone(),
    }
}

/// The value of an unedited parameter in the form.
pub fn default_text(param: &ParamEntry) -> String {
    shown(&param.default)
}

fn guess(typed: &str) -> ParamValue {
    let typed = typed.trim();
    if let Some(value) = parse_count(typed) {
        ParamValue::Int(value)
    } else if let Ok(value) = typed.parse::<bool>() {
        ParamValue::Bool(value)
    } else if let Some(value) = typed::number(typed) {
        ParamValue::Float(value)
    } else {
        ParamValue::Text(typed.to_owned())
    }
}

/// Checks a typed parameter against its description.
fn param(spec: &ParamEntry, typed: &str, text: &Text) -> Result<ParamValue, String> {
    let typed = typed.trim();
    let range =
        |value: f64| spec.low.is_none_or(|low| value >= low) && spec.high.is_none_or(|high| value <= high);
    let (low, high) = (spec.low.map(plain).unwrap_or_default(), spec.high.map(plain).unwrap_or_default());
    match spec.kind.as_str() {
        "flag" => typed.parse().map(ParamValue::Bool).map_err(|_| text.error_flag.to_owned()),
        "count" => parse_count(typed)
            .filter(|value| range(*value as f64))
            .map(ParamValue::Int)
            .ok_or_else(|| (text.error_whole)(&low, &high)),
        "number" => typed::number(typed)
            .filter(|value| range(*value))
            .map(ParamValue::Float)
            .ok_or_else(|| (text.error_number)(&low, &high)),
        _ if spec.choices.iter().any(|choice| choice == typed) => Ok(ParamValue::Text(typed.to_owned())),
        _ => Err((text.error_choice)(&spec.choices.join(", "))),
    }
}

/// A whole number that may be negative.
fn parse_count(typed: &str) -> Option<i64> {
    typed.parse().ok().or_else(|| parse_whole(typed)?.try_into().ok())
}

/// The error message for the lengths' field.
fn lengths_message(error: &LengthsError, text: &Text) -> String {
    match error {
        LengthsError::Thousands { meant, apart } => (text.error_thousands)(&meant.to_string(), apart),
        LengthsError::Order { .. } => text.error_lengths_order.to_owned(),
        LengthsError::TooMany { limit, .. } => (text.error_too_many_lengths)(*limit),
        _ => (text.error_lengths)(&format::length(Problem::MAX_SEQ_LEN as f64)),
    }
}

fn plain(value: f64) -> String {
    value.to_string()
}

fn whole(typed: &str, low: u32, high: u32, text: &Text) -> Result<u32, String> {
    parse_whole(typed)
        .and_then(|value| u32::try_from(value).ok())
        .filter(|value| (low..=high).contains(value))
        .ok_or_else(|| (text.error_whole)(&low.to_string(), &format::length(f64::from(high))))
}

fn divisors(n: u32) -> String {
    (1..=n).filter(|d| n.is_multiple_of(*d)).take(16).map(|d| d.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::ENGLISH;

    fn system(id: &str) -> SystemEntry {
        let count = ParamEntry {
            name: "order".to_owned(),
            help: String::new(),
            kind: "count".to_owned(),
            default: ParamValue::Int(2),
            low: Some(2.0),
            high: Some(8.0),
            choices: Vec::new(),
        };
        let choice = ParamEntry {
            name: "form".to_owned(),
            kind: "choice".to_owned(),
            default: ParamValue::Text("soft".to_owned()),
            low: None,
            high: None,
            choices: vec!["soft".to_owned(), "hard".to_owned()],
            ..count.clone()
        };
        SystemEntry {
            id: id.to_owned(),
            title: id.to_owned(),
            mark: 0,
            family: "attention".to_owned(),
            causality: "both".to_owned(),
            complexity: String::new(),
            exponent: 2.0,
            year: 2017,
            paper: String::new(),
            arxiv: String::new(),
            reference: String::new(),
            summary: String::new(),
            params: vec![count, choice],
            no_decode: None,
        }
    }

    fn check(change: impl FnOnce(&mut Draft)) -> Result<Config, Errors> {
        let mut draft = Draft::new(&Config::default());
        change(&mut draft);
        draft.check(&[system("attention"), system("hyena")], &ENGLISH)
    }

    fn fields(change: impl FnOnce(&mut Draft)) -> Vec<Field> {
        check(change).unwrap_err().into_keys().collect()
    }

    #[test]
    fn the_default_configuration_survives_the_form() {
        assert_eq!(check(|_| ()), Ok(Config::default()));
    }

    #[test]
    fn a_decode_race_survives_the_form() {
        let config = Config {
            mode: Task::Decode { tokens: 77 },
            lengths: vec![256, 512, 1000],
            heads: 8,
            ..Config::default()
        };
        let catalogue = [system("attention"), system("hyena")];
        let mut draft = Draft::new(&config);
        assert_eq!((draft.decoding, draft.tokens.as_str()), (true, "77"));
        assert_eq!(draft.check(&catalogue, &ENGLISH).as_ref(), Ok(&config));
        // Another mode keeps every other field, and the way back restores the form of forward passes.
        draft.decoding = false;
        let forward = Config { mode: Task::Forward, ..config.clone() };
        assert_eq!(draft.check(&catalogue, &ENGLISH).as_ref(), Ok(&forward));
        draft.causal = false;
        draft.decoding = true;
        assert_eq!(draft.check(&catalogue, &ENGLISH).as_ref(), Ok(&config));
        draft.decoding = false;
        assert!(!draft.check(&catalogue, &ENGLISH).unwrap().causal);
    }

    #[test]
    fn generated_tokens_have_a_field_of_their_own() {
        let decoding = |tokens: &str| {
            let tokens = tokens.to_owned();
            fields(|d| (d.decoding, d.tokens) = (true, tokens))
        };
        for typed in ["", "0", "4097", "1.5", "-3", "x"] {
            assert_eq!(decoding(typed), [Field::Tokens], "{typed}");
            // For forward passes it does not count.
            assert!(check(|d| d.tokens = typed.to_owned()).is_ok());
        }
        assert_eq!(
            check(|d| d.decoding = true).unwrap().mode,
            Task::Decode { tokens: Config::DEFAULT_TOKENS }
        );
        // The state has room for the context and the generated tokens.
        let long = |decoding| {
            check(move |d| {
                (d.decoding, d.tokens, d.lengths) = (decoding, "1".to_owned(), "1048576".to_owned());
                (d.width, d.heads) = ("1024".to_owned(), "4".to_owned());
            })
        };
        assert!(long(false).is_ok());
        assert!(long(true).unwrap_err()[&Field::Lengths].contains("1,048,575"));
    }

    #[test]
    fn every_mistake_is_named_at_its_field() {
        for typed in ["", "0", "-1", "4097", "1e9", "2,5", "abc", "NaN", "99999999999999999999"] {
            assert_eq!(fields(|d| d.width = typed.to_owned()), [Field::Width], "{typed}");
        }
        assert_eq!(fields(|d| d.heads = "3".to_owned()), [Field::Heads]);
        assert_eq!(fields(|d| d.batch = "65".to_owned()), [Field::Batch]);
        assert_eq!(fields(|d| d.seed = "4294967296".to_owned()), [Field::Seed]);
        assert_eq!(fields(|d| d.threads = "0".to_owned()), [Field::Threads]);
        for typed in ["", "0", "inf", "NaN", "-5", "1e9"] {
            assert_eq!(fields(|d| d.budget_s = typed.to_owned()), [Field::Budget], "{typed}");
        }
        assert_eq!(fields(|d| d.lanes.clear()), [Field::Systems]);
        let several = fields(|d| {
            d.width = "x".to_owned();
            d.lengths = String::new();
        });
        assert_eq!(several, [Field::Lengths, Field::Width]);
        assert!(check(|d| d.heads = "3".to_owned()).unwrap_err()[&Field::Heads].contains("256"));
    }

    #[test]
    fn separated_thousands_are_joined_or_questioned() {
        assert_eq!(check(|d| d.width = "1,024".to_owned()).unwrap().width, 1024);
        assert_eq!(check(|d| d.lengths = "1K..4K".to_owned()).unwrap().lengths, [1024, 2048, 4096]);
        for typed in ["16,384", "16 384", "16\u{202f}384"] {
            let errors = check(|d| d.lengths = typed.to_owned()).unwrap_err();
            assert!(errors[&Field::Lengths].contains("Did you mean 16384?"), "{errors:?}");
        }
        let errors = check(|d| d.lengths = "1,024, 2,048".to_owned()).unwrap_err();
        assert!(errors[&Field::Lengths].contains("1024"), "{errors:?}");
        assert_eq!(fields(|d| d.lengths = "2048..512".to_owned()), [Field::Lengths]);
    }

    #[test]
    fn lanes_and_their_parameters_are_checked_against_the_catalogue() {
        assert_eq!(fields(|d| d.add("constructor")), [Field::Lane(2)]);
        assert_eq!(fields(|d| d.add("hyena")), [Field::Lane(2)]);
        let typed = |name: &str, value: &str| {
            let (name, value) = (name.to_owned(), value.to_owned());
            check(move |d| {
                d.lanes[1].params.insert(name, value);
            })
        };
        assert_eq!(
            typed("order", "9").unwrap_err().into_keys().collect::<Vec<_>>(),
            [Field::Param(1, "order".to_owned())]
        );
        assert!(typed("order", "2.5").is_err() && typed("form", "harder").is_err());
        assert!(typed("__proto__", "1").is_err());
        let LaneConfig::Full(full) = &typed("order", "3").unwrap().systems[1] else { panic!("a full lane") };
        assert_eq!(full.params["order"], ParamValue::Int(3));
        // A parameter with the paper's value is omitted.
        assert_eq!(typed("order", "2").unwrap().systems[1], LaneConfig::Name("hyena".to_owned()));
        let many = fields(|d| (0..40).for_each(|_| d.add("attention")));
        assert!(many.contains(&Field::Systems));
    }

    #[test]
    fn a_race_that_is_too_large_is_refused_at_its_lengths() {
        assert!(
            check(|d| {
                d.batch = "64".to_owned();
                d.width = "4096".to_owned();
            })
            .unwrap_err()
            .contains_key(&Field::Lengths)
        );
    }

    #[test]
    fn another_race_never_reuses_a_lane_key() {
        let mut draft = Draft::new(&Config::default());
        let before: Vec<_> = draft.lanes.iter().map(|lane| lane.key).collect();
        draft.replace(&Config::default());
        assert!(draft.lanes.iter().all(|lane| !before.contains(&lane.key)));
    }
}
