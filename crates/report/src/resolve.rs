//! The validator of configurations from the page, links, the API and the command line. Turns them into the engine's
//! specification.

use std::collections::BTreeMap;

use mixer::{Allowed, Backend, Info, LaneSpec, Level, Params, Problem, Value};
use race::RaceSpec;

use crate::text::{is_clean, is_id, is_param_name, shown};
use crate::{BackendName, Config, ConfigError, Hint, LaneConfig, LevelName, ParamValue, Threads};

/// Most threads that a configuration may ask for.
pub(crate) const MAX_THREADS: u32 = 256;
/// Most parameters of a lane, more than any system has.
const MAX_PARAMS: usize = 32;
/// Longest word as a parameter's value, in characters.
const MAX_WORD: usize = 64;
/// Least and greatest budget in milliseconds: a tenth of a second, a day.
const MIN_BUDGET_MS: f64 = 100.0;
const MAX_BUDGET_MS: f64 = 86_400_000.0;
/// The budget's range for error messages.
pub(crate) const BUDGET: Allowed =
    Allowed::Milliseconds { low: MIN_BUDGET_MS as u64, high: MAX_BUDGET_MS as u64 };

impl LaneConfig {
    /// The system's name.
    pub fn system(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Full(lane) => &lane.system,
        }
    }

    /// The lane's own backend, if it names one.
    pub fn backend(&self) -> Option<BackendName> {
        match self {
            Self::Name(_) => None,
            Self::Full(lane) => lane.backend,
        }
    }

    /// The parameters given, if any.
    pub fn params(&self) -> Option<&BTreeMap<String, ParamValue>> {
        match self {
            Self::Name(_) => None,
            Self::Full(lane) => Some(&lane.params),
        }
    }
}

impl From<&ParamValue> for Value {
    fn from(value: &ParamValue) -> Self {
        match value {
            ParamValue::Bool(flag) => Self::Bool(*flag),
            ParamValue::Int(whole) => Self::Int(*whole),
            ParamValue::Float(real) => Self::Float(*real),
            ParamValue::Text(word) => Self::Text(word.clone()),
        }
    }
}

impl From<&Value> for ParamValue {
    /// Lists and nulls occur in golden files only. They become text.
    fn from(value: &Value) -> Self {
        match value {
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Int(whole) => Self::Int(*whole),
            Value::Float(real) if real.is_finite() => Self::Float(*real),
            Value::Text(word) => Self::Text(word.clone()),
            Value::Float(_) | Value::Null | Value::List(_) => Self::Text(value.to_string()),
        }
    }
}

impl From<LevelName> for Level {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::Core => Self::Core,
            LevelName::Layer => Self::Layer,
        }
    }
}

impl BackendName {
    /// The backend on a machine with or without a GPU that lanes should prefer.
    pub fn resolve(self, gpu: bool) -> Backend {
        match self {
            Self::Webgpu => Backend::WebGpu,
            Self::Auto if gpu => Backend::WebGpu,
            Self::Cpu | Self::Auto => Backend::Cpu,
        }
    }
}

impl Config {
    /// Number of threads on a machine that offers `available`.
    pub fn thread_count(&self, available: usize) -> usize {
        match self.threads {
            Threads::Auto => available.clamp(1, MAX_THREADS as usize),
            Threads::Count(count) => count as usize,
        }
    }

    /// Checks everything that does not depend on the systems.
    ///
    /// # Errors
    /// [`ConfigError`] names the first wrong field.
    pub fn check(&self) -> Result<(), ConfigError> {
        count("systems", self.systems.len(), RaceSpec::MAX_LANES)?;
        count(self.mode.lengths_field(), self.lengths.len(), RaceSpec::MAX_LENGTHS)?;
        for (index, lane) in self.systems.iter().enumerate() {
            check_lane(index, lane)?;
        }
        for &length in &self.lengths {
            self.problem(length as usize).validate().map_err(ConfigError::of_problem)?;
        }
        if !(MIN_BUDGET_MS..=MAX_BUDGET_MS).contains(&self.budget_ms) {
            return Err(ConfigError::invalid("budgetMs", BUDGET, self.budget_ms));
        }
        if let Threads::Count(count) = self.threads
            && !(1..=MAX_THREADS).contains(&count)
        {
            let allowed = Allowed::AutoOrWhole { high: u64::from(MAX_THREADS) };
            return Err(ConfigError::invalid("threads", allowed, count));
        }
        Ok(())
    }

    /// The engine's specification: names looked up among `systems`, `auto` resolved (`gpu`: whether lanes should prefer
    /// a GPU), defaults filled in, lengths ascending and distinct. A lane that asks for a missing GPU is accepted. It
    /// ends with a reason in the race, like any lane that cannot run.
    ///
    /// # Errors
    /// [`ConfigError`] names the first wrong field.
    pub fn resolve(&self, systems: &[&Info], gpu: bool) -> Result<RaceSpec, ConfigError> {
        self.check()?;
        let mut lanes: Vec<LaneSpec> = Vec::with_capacity(self.systems.len());
        for (index, lane) in self.systems.iter().enumerate() {
            let lane = self.lane(index, lane, systems, gpu)?;
            if let Some(first) = lanes.iter().position(|earlier| *earlier == lane) {
                return Err(ConfigError::DuplicateLane { field: format!("systems[{index}]"), first });
            }
            lanes.push(lane);
        }
        Ok(RaceSpec {
            lanes,
            lengths: self.sorted_lengths().into_iter().map(|length| length as usize).collect(),
            d_model: self.width as usize,
            n_heads: self.heads as usize,
            batch: self.batch as usize,
            causal: self.causal,
            level: self.level.into(),
            task: self.mode,
            budget_ns: (self.budget_ms * 1e6) as u64,
            seed: u64::from(self.seed),
        })
    }

    /// The raced lengths, ascending and distinct.
    pub fn sorted_lengths(&self) -> Vec<u32> {
        let mut lengths = self.lengths.clone();
        lengths.sort_unstable();
        lengths.dedup();
        lengths
    }

    fn lane(
        &self,
        index: usize,
        lane: &LaneConfig,
        systems: &[&Info],
        gpu: bool,
    ) -> Result<LaneSpec, ConfigError> {
        let name = lane.system();
        let Some(info) = systems.iter().find(|info| info.id == name) else {
            return Err(ConfigError::UnknownSystem {
                field: format!("systems[{index}]"),
                name: shown(name),
                hint: Hint::KnownSystems {
                    known: systems.iter().map(|info| info.id).collect::<Vec<_>>().join(", "),
                },
            });
        };
        let mut params = Params::new();
        for (name, value) in lane.params().into_iter().flatten() {
            params.set(name, Value::from(value));
        }
        let params = info.resolve(&params).map_err(|error| ConfigError::of_lane(index, error))?;
        let backend = lane.backend().unwrap_or(self.backend).resolve(gpu);
        Ok(LaneSpec { system: info.id.to_owned(), backend, params })
    }

    fn problem(&self, seq_len: usize) -> Problem {
        Problem {
            batch: self.batch as usize,
            seq_len,
            d_model: self.width as usize,
            n_heads: self.heads as usize,
            causal: self.causal,
            level: self.level.into(),
            seed: u64::from(self.seed),
            task: self.mode,
        }
    }
}

fn count(field: &str, got: usize, limit: usize) -> Result<(), ConfigError> {
    match got {
        0 => Err(ConfigError::invalid(field, Allowed::NonEmptyList, "[]")),
        got if got > limit => Err(ConfigError::TooMany { field: field.to_owned(), limit, got }),
        _ => Ok(()),
    }
}

fn check_lane(index: usize, lane: &LaneConfig) -> Result<(), ConfigError> {
    let name = lane.system();
    if !is_id(name) {
        return Err(ConfigError::UnknownSystem {
            field: format!("systems[{index}]"),
            name: shown(name),
            hint: Hint::SystemNames,
        });
    }
    let Some(params) = lane.params() else { return Ok(()) };
    if params.len() > MAX_PARAMS {
        return Err(ConfigError::TooMany {
            field: format!("systems[{index}].params"),
            limit: MAX_PARAMS,
            got: params.len(),
        });
    }
    for (name, value) in params {
        let field = || format!("systems[{index}].params.{}", shown(name));
        if !is_param_name(name) {
            return Err(ConfigError::UnknownParam {
                field: field(),
                system: lane.system().to_owned(),
                hint: Hint::ParamNames,
            });
        }
        match value {
            ParamValue::Float(real) if !real.is_finite() => {
                return Err(ConfigError::invalid(field(), Allowed::Finite, real));
            }
            ParamValue::Text(word) if !is_clean(word, MAX_WORD) => {
                return Err(ConfigError::invalid(field(), Allowed::ShortWord, word));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mixer::Task;

    use super::*;
    use crate::testing::{ATTENTION, SYSTEMS, TOY};

    fn resolved(json: &str) -> Result<RaceSpec, ConfigError> {
        Config::from_json(json)?.resolve(&SYSTEMS, false)
    }

    #[track_caller]
    fn refused(json: &str, code: &str, field: &str, words: &str) {
        let error = resolved(json).expect_err(json);
        assert_eq!((error.code(), error.field()), (code, Some(field)), "{json}: {error}");
        assert!(error.to_string().contains(words), "{json}: {error}");
    }

    #[test]
    fn nothing_given_is_the_default_race() {
        let spec = resolved(r#"{"systems": ["attention", "toy"]}"#).unwrap();
        assert_eq!(spec.lengths, [256, 512, 1024, 2048, 4096, 8192, 16_384]);
        assert_eq!((spec.d_model, spec.n_heads, spec.batch, spec.causal), (256, 4, 1, true));
        assert_eq!((spec.level, spec.budget_ns, spec.seed), (Level::Layer, 120_000_000_000, 1));
        assert!(spec.lanes.iter().all(|lane| lane.backend == Backend::Cpu));
        assert_eq!(spec.lanes[1].params, TOY.resolve(&Params::new()).unwrap());
    }

    #[test]
    fn a_decode_race_has_contexts_and_tokens() {
        let spec = resolved(r#"{"systems": ["toy"], "mode": "decode"}"#).unwrap();
        assert_eq!(spec.task, Task::Decode { tokens: 128 });
        assert_eq!(spec.lengths, [256, 512, 1024, 2048, 4096, 8192, 16_384]);
        assert_eq!(spec.problem(256).capacity(), 384);
        // The order of the fields does not matter.
        let json = r#"{"tokens": 7, "contexts": "64..256", "systems": ["toy"], "mode": "decode"}"#;
        let spec = resolved(json).unwrap();
        assert_eq!((spec.task, spec.lengths), (Task::Decode { tokens: 7 }, vec![64, 128, 256]));
        let spec = resolved(r#"{"systems": ["toy"], "mode": "forward", "lengths": [8]}"#).unwrap();
        assert_eq!((spec.task, spec.lengths), (Task::Forward, vec![8]));
    }

    #[test]
    fn fields_of_the_other_mode_are_refused_with_the_remedy() {
        refused(r#"{"mode": "decode", "lengths": [256]}"#, "other-mode", "lengths", "as `contexts`");
        for json in [r#"{"contexts": [256]}"#, r#"{"mode": "forward", "contexts": [256], "tokens": 3}"#] {
            refused(json, "other-mode", "contexts", "is for mode \"decode\" only");
        }
        refused(r#"{"tokens": 3}"#, "other-mode", "tokens", "set `mode`");
        for bad in ["\"generate\"", "null", "1", "\"Decode\""] {
            refused(
                &format!(r#"{{"mode": {bad}}}"#),
                "invalid-field",
                "mode",
                "one of \"forward\", \"decode\"",
            );
        }
        let decode = |field: &str| format!(r#"{{"mode": "decode", {field}}}"#);
        for bad in ["0", "-1", "1.5", "1048577", "null"] {
            let json = decode(&format!(r#""contexts": [256, {bad}]"#));
            refused(&json, "invalid-field", "contexts", "from 1 to 1048576");
        }
        refused(&decode(r#""contexts": []"#), "invalid-field", "contexts", "at least one");
        refused(&decode(r#""contexts": "8..4""#), "invalid-field", "contexts", "from short to long: 4..8");
        refused(&decode(r#""contexts": "16,384""#), "invalid-field", "contexts", "did you mean 16384?");
        refused(&decode(r#""contexts": "many""#), "invalid-field", "contexts", "from 1 to 1048576");
        let many = vec!["256"; 33].join(",");
        refused(&decode(&format!(r#""contexts": [{many}]"#)), "too-many", "contexts", "at most 32");
        for bad in ["0", "4097", "1.5", "null", "\"all\""] {
            refused(&decode(&format!(r#""tokens": {bad}"#)), "invalid-field", "tokens", "from 1 to 4096");
        }
        refused(&decode(r#""causal": false"#), "invalid-field", "causal", "true when decoding");
        // The generated tokens need room too.
        let full = r#""contexts": [262144], "width": 4096"#;
        refused(&decode(full), "invalid-field", "contexts", "at most 262144");
    }

    #[test]
    fn auto_prefers_a_working_gpu_and_lanes_may_override_it() {
        let config = Config::from_json(
            r#"{"systems": ["attention", {"system": "attention", "backend": "cpu"}, {"system": "toy", "backend": "webgpu"}]}"#,
        )
        .unwrap();
        let backends = |gpu| -> Vec<Backend> {
            let spec = config.resolve(&SYSTEMS, gpu);
            spec.map(|spec| spec.lanes.iter().map(|lane| lane.backend).collect()).unwrap_or_default()
        };
        assert_eq!(backends(true), [Backend::WebGpu, Backend::Cpu, Backend::WebGpu]);
        // Without a GPU, the first two lanes are equal.
        let error = config.resolve(&SYSTEMS, false).unwrap_err();
        assert_eq!((error.code(), error.field()), ("duplicate-lane", Some("systems[1]")));
    }

    #[test]
    fn fault_24_values_out_of_range_are_refused_by_name() {
        for bad in ["0", "-1", "1.5", "4294967296", "1e30", "1048577", "null", "\"256\"", "[1]"] {
            refused(
                &format!(r#"{{"lengths": [256, {bad}]}}"#),
                "invalid-field",
                "lengths",
                "from 1 to 1048576",
            );
        }
        refused(r#"{"lengths": []}"#, "invalid-field", "lengths", "at least one");
        refused(r#"{"lengths": 256}"#, "invalid-field", "lengths", "a list");
        let many = vec!["256"; 33].join(",");
        refused(&format!(r#"{{"lengths": [{many}]}}"#), "too-many", "lengths", "at most 32");
        refused(r#"{"width": 0}"#, "invalid-field", "width", "from 1 to 4096");
        refused(r#"{"heads": 0}"#, "invalid-field", "heads", "from 1");
        refused(
            r#"{"width": 100, "heads": 3}"#,
            "invalid-field",
            "heads",
            "a divisor of the width (100), got 3",
        );
        refused(r#"{"batch": 65}"#, "invalid-field", "batch", "from 1 to 64");
        refused(
            r#"{"lengths": [1048576], "width": 4096, "batch": 2}"#,
            "invalid-field",
            "lengths",
            "at most 131072",
        );
        refused(r#"{"budgetMs": 0}"#, "invalid-field", "budgetMs", "from 100 to 86400000");
        refused(r#"{"budgetMs": null}"#, "invalid-field", "budgetMs", "got null");
        refused(r#"{"threads": 0}"#, "invalid-field", "threads", "from 1 to 256");
        refused(r#"{"threads": "many"}"#, "invalid-field", "threads", "\"auto\" or");
        refused(r#"{"seed": -1}"#, "invalid-field", "seed", "from 0 to 4294967295");
        refused(r#"{"causal": 1}"#, "invalid-field", "causal", "true or false");
        refused(r#"{"level": "Layer"}"#, "invalid-field", "level", "\"core\" or \"layer\"");
        refused(r#"{"backend": "gpu"}"#, "invalid-field", "backend", "\"webgpu\"");
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        refused(r#"{"widht": 64}"#, "unknown-field", "widht", "known fields: systems, mode, lengths");
        refused(r#"{"__proto__": {}}"#, "unknown-field", "__proto__", "known fields");
        for name in ["hyenna", "constructor", "Attention", "", "attention "] {
            let json = format!(r#"{{"systems": ["attention", "{name}"]}}"#);
            refused(&json, "unknown-system", "systems[1]", "unknown system");
        }
        refused(r#"{"systems": []}"#, "invalid-field", "systems", "at least one");
        refused(r#"{"systems": "attention"}"#, "invalid-field", "systems", "a list");
        refused(r#"{"systems": [7]}"#, "invalid-field", "systems[0]", "a system's name");
        refused(r#"{"systems": [{}]}"#, "missing-field", "systems[0].system", "missing");
        refused(
            r#"{"systems": [{"system": "toy", "Params": {}}]}"#,
            "unknown-field",
            "systems[0].Params",
            "params",
        );
        let lane = |params: &str| format!(r#"{{"systems": [{{"system": "toy", "params": {params}}}]}}"#);
        refused(&lane(r#"{"order": 99}"#), "invalid-field", "systems[0].params.order", "from 2 to 8, got 99");
        refused(&lane(r#"{"order": 2.5}"#), "invalid-field", "systems[0].params.order", "from 2 to 8");
        refused(&lane(r#"{"order": null}"#), "invalid-field", "systems[0].params.order", "a number, a word");
        refused(&lane(r#"{"odor": 2}"#), "unknown-param", "systems[0].params.odor", "it has: order, gain");
        refused(&lane(r#"{"a b": 2}"#), "unknown-param", "systems[0].params.a b", "letters");
        refused(&lane("[]"), "invalid-field", "systems[0].params", "an object");
        refused(
            r#"{"systems": [{"system": "attention", "params": {"x": 1}}]}"#,
            "unknown-param",
            "systems[0].params.x",
            "it has none",
        );
        assert_eq!(ATTENTION.params.len(), 0);
    }

    #[test]
    fn too_many_lanes_and_equal_lanes_are_refused() {
        let lanes = vec!["\"attention\""; 29].join(",");
        refused(
            &format!(r#"{{"systems": [{lanes}]}}"#),
            "too-many",
            "systems",
            "at most 28 are accepted, got 29",
        );
        // A lane with the paper's value and one without a value are equal.
        refused(
            r#"{"systems": ["toy", {"system": "toy", "params": {"order": 2.0}}]}"#,
            "duplicate-lane",
            "systems[1]",
            "as systems[0]",
        );
        assert!(resolved(r#"{"systems": ["toy", {"system": "toy", "params": {"order": 3}}]}"#).is_ok());
    }

    #[test]
    fn syntax_errors_have_a_position() {
        for (json, code) in [
            ("", "config-syntax"),
            ("{", "config-syntax"),
            (r#"{"lengths": [NaN]}"#, "config-syntax"),
            (r#"{"lengths": [1e999]}"#, "config-syntax"),
            ("[]", "invalid-field"),
            ("null", "invalid-field"),
        ] {
            assert_eq!(resolved(json).unwrap_err().code(), code, "{json}");
        }
        let deep = "[".repeat(50_000);
        assert_eq!(resolved(&deep).unwrap_err().code(), "config-syntax");
        let long = format!(r#"{{"systems": ["{}"]}}"#, "a".repeat(Config::MAX_JSON_BYTES));
        assert_eq!(resolved(&long).unwrap_err().code(), "config-too-large");
    }

    #[test]
    fn messages_quote_foreign_text_cut_and_cleaned() {
        let error = resolved(&format!(r#"{{"{}\u202e\n": 1}}"#, "x".repeat(5000))).unwrap_err();
        assert!(error.to_string().chars().count() < 300 && !error.to_string().contains('\u{202e}'));
    }

    #[test]
    fn lengths_race_ascending_and_once() {
        let spec = resolved(r#"{"systems": ["toy"], "lengths": [512, 256, 512, 128]}"#).unwrap();
        assert_eq!(spec.lengths, [128, 256, 512]);
    }

    #[test]
    fn a_configuration_survives_its_own_json() {
        let config = Config {
            systems: vec![
                LaneConfig::Name("attention".into()),
                LaneConfig::Full(crate::FullLane {
                    system: "toy".into(),
                    backend: Some(BackendName::Cpu),
                    params: [("gain".to_owned(), ParamValue::Float(0.5))].into(),
                }),
            ],
            threads: Threads::Count(3),
            ..Config::default()
        };
        for mode in [Task::Forward, Task::Decode { tokens: 9 }] {
            let config = Config { mode, ..config.clone() };
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(Config::from_json(&json), Ok(config.clone()));
            assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
        }
    }

    #[test]
    fn the_json_has_the_fields_of_its_mode_only() {
        let json =
            |mode| serde_json::to_string(&Config { mode, lengths: vec![64], ..Config::default() }).unwrap();
        let rest = concat!(
            r#""width":256,"heads":4,"batch":1,"causal":true,"level":"layer","backend":"auto","threads":"auto","#,
            r#""budgetMs":120000.0,"seed":1}"#
        );
        let systems = r#"{"systems":["attention","hyena"],"#;
        assert_eq!(json(Task::Forward), format!(r#"{systems}"lengths":[64],{rest}"#));
        let decode = format!(r#"{systems}"mode":"decode","contexts":[64],"tokens":5,{rest}"#);
        assert_eq!(json(Task::Decode { tokens: 5 }), decode);
        // In a report, the configuration is read by another parser with equal rules.
        let read = |json: &str| serde_json::from_str::<Config>(json).map_err(|error| error.to_string());
        assert_eq!(read("{}"), Ok(Config::default()));
        let decode = Config { mode: Task::Decode { tokens: 128 }, ..Config::default() };
        assert_eq!(read(r#"{"mode": "decode"}"#), Ok(decode));
        for (json, words) in [
            (r#"{"mode": "decode", "lengths": [256]}"#, "as `contexts`"),
            (r#"{"contexts": [256]}"#, "is for mode"),
            (r#"{"tokens": 1}"#, "is for mode"),
            (r#"{"mode": "decode", "tokens": null}"#, "null"),
            (r#"{"lengths": null}"#, "null"),
            (r#"{"mode": null}"#, "expected"),
            (r#"{"widht": 1}"#, "unknown field `widht`"),
        ] {
            assert!(read(json).unwrap_err().contains(words), "{json}: {:?}", read(json));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = resolved(&text);
        }

        #[test]
        fn any_value_in_any_field_is_read_or_refused(
            field in "systems|mode|lengths|contexts|tokens|width|heads|batch|causal|level|backend|threads|budgetMs|seed",
            value in proptest::sample::select(vec![
                "0", "1", "-1", "3", "0.5", "1e300", "true", "null", "\"\"", "\"auto\"", "\"toy\"", "[]", "[0]",
                "[256]", "\"decode\"", "[\"toy\"]", "[[]]", "{}", "[{}]", "[{\"system\":\"toy\"}]", "18446744073709551616",
            ]),
        ) {
            if let Ok(spec) = resolved(&format!(r#"{{"{field}": {value}}}"#)) {
                proptest::prop_assert!(!spec.lanes.is_empty() && spec.n_heads > 0);
            }
        }
    }
}
