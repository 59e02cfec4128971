//! Validates reports from outside: files, links, other pages. Every number has a range, every text a maximum length and
//! every index a target, so that a valid report can be drawn without further checks.

use mixer::{Allowed, Problem, Task};
use race::{MIN_FIT_POINTS, PREDICTION_HORIZON, RaceSpec};

use crate::text::{is_clean, is_id, is_param_name};
use crate::{
    BackendName, Crossover, CrossoverKind, Decoding, Environment, Exponent, Gpu, Lane, Leading, ParamValue,
    Peaks, Point, Report, ReportError, SCHEMA_VERSION, Status, Steps, Verdict, Verified, Versus, Warning,
};

/// Longest name, in characters.
pub(crate) const MAX_NAME: usize = 80;
/// Longest message, in characters.
pub(crate) const MAX_MESSAGE: usize = 400;
/// Greatest count of samples, repeats or cores.
pub(crate) const MAX_COUNT: u32 = 1_000_000_000;
/// Greatest number of bytes or operations, which are counted in 64 bits.
pub(crate) const MAX_AMOUNT: f64 = 18_446_744_073_709_551_616.0;
/// Greatest date: the year 9999.
pub(crate) const MAX_DATE_MS: f64 = 253_402_300_800_000.0;
/// Most kernel choices.
pub(crate) const MAX_KERNELS: usize = 32;
/// Most warnings.
pub(crate) const MAX_WARNINGS: usize = 200;
/// Ratio by which a link's rounding may change a crossover.
const ROUNDING: f64 = 1.01;
/// Range of ratios of two times.
pub(crate) const RATIO: std::ops::RangeInclusive<f64> = 1e-24..=1e24;
/// Largest ratio between a speed-up and the ratio of the times in a report. An estimate over shared rounds may differ
/// from that ratio, but not by much.
const FROM_TIMES: f64 = 1.5;
/// Greatest absolute value of an exponent or log₂ scale.
const MAX_EXPONENT: f64 = 1000.0;
/// Range of times in milliseconds: a femtosecond to thirty years.
pub(crate) const TIME_MS: std::ops::RangeInclusive<f64> = 1e-12..=1e12;
/// Range of lengths where lanes may cross.
pub(crate) const CROSSOVER: std::ops::RangeInclusive<f64> = 1e-6..=1e18;
/// Greatest clock step in milliseconds: a minute.
pub(crate) const MAX_TICK_MS: f64 = 60_000.0;
/// The system that challengers are compared with.
pub(crate) const BASELINE: &str = "attention";
/// All outcomes of a point. Links store their index: append only.
pub(crate) const OUTCOMES: [&str; 10] = [
    "ok",
    "memory",
    "time-budget",
    "device-limit",
    "device-lost",
    "no-backend",
    "unsupported",
    "not-verified",
    "failed",
    "cancelled",
];

/// Whether `ms` is within the range of times.
pub(crate) fn is_time(ms: f64) -> bool {
    TIME_MS.contains(&ms)
}

/// Whether `length` is within the range of crossovers. Predictions may lie far beyond the lengths that can be raced.
pub(crate) fn is_crossover(length: f64) -> bool {
    CROSSOVER.contains(&length)
}

/// Whether every number of an exponent is finite and in range.
pub(crate) fn exponent(exponent: &Exponent) -> bool {
    let Exponent { estimate, low, high, log2_scale_ms, from_length, leading } = *exponent;
    log2_scale_ms.abs() <= MAX_EXPONENT
        && is_leading(&Leading { estimate, low, high })
        && leading.as_ref().is_none_or(is_leading)
        && is_length(from_length)
}

/// Whether the exponent of a leading term is in range and within its interval.
pub(crate) fn is_leading(leading: &Leading) -> bool {
    let Leading { estimate, low, high } = *leading;
    [estimate, low, high].iter().all(|value| value.abs() <= MAX_EXPONENT)
        && low <= estimate
        && estimate <= high
}

/// Whether the peak rates are plausible.
pub(crate) fn are_peaks(peaks: &Peaks) -> bool {
    let rates = [
        Some(peaks.flops_per_s),
        peaks.f16_flops_per_s,
        peaks.transcendentals_per_s,
        Some(peaks.bytes_per_s),
    ];
    rates.iter().flatten().all(|rate| (1.0..=MAX_AMOUNT).contains(rate))
        && (0.0..=*TIME_MS.end()).contains(&peaks.dispatch_ms)
}

fn is_length(length: u32) -> bool {
    (1..=Problem::MAX_SEQ_LEN as u32).contains(&length)
}

/// The part of a report that every version has.
#[derive(serde::Deserialize)]
struct Version {
    schema: Option<u32>,
}

impl Version {
    fn check(&self) -> Result<(), ReportError> {
        match self.schema {
            Some(got) if got > SCHEMA_VERSION => Err(ReportError::Newer { got, supported: SCHEMA_VERSION }),
            _ => Ok(()),
        }
    }
}

impl Report {
    /// Longest JSON accepted, in bytes.
    pub const MAX_JSON_BYTES: usize = 4 << 20;

    /// Reads a report from JSON and validates it.
    ///
    /// # Errors
    /// [`ReportError`] names the wrong field.
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        if text.len() > Self::MAX_JSON_BYTES {
            return Err(ReportError::TooLarge { got: text.len(), limit: Self::MAX_JSON_BYTES });
        }
        // The parser limits nesting to 128 levels. The version is read first, because a newer report may have another
        // shape.
        if let Ok(version) = serde_json::from_str::<Version>(text) {
            version.check()?;
        }
        let report: Self = serde_json::from_str(text).map_err(|error| ReportError::syntax(&error))?;
        report.validate()?;
        Ok(report.upgraded().with_shares())
    }

    /// Reads and validates a report from a parsed value.
    ///
    /// # Errors
    /// As for [`Report::from_json`].
    pub fn from_value(value: serde_json::Value) -> Result<Self, ReportError> {
        let schema = value.get("schema").and_then(serde_json::Value::as_u64);
        Version { schema: schema.map(|schema| u32::try_from(schema).unwrap_or(u32::MAX)) }.check()?;
        let report: Self = serde_json::from_value(value).map_err(|error| ReportError::syntax(&error))?;
        report.validate()?;
        Ok(report.upgraded().with_shares())
    }

    /// Validates every number, text and index.
    ///
    /// # Errors
    /// [`ReportError`] names the first wrong field.
    pub fn validate(&self) -> Result<(), ReportError> {
        Version { schema: Some(self.schema) }.check()?;
        ensure(self.schema >= 1, "schema", "1", self.schema)?;
        self.config.check()?;
        let least = if self.config.mode == Task::Forward { 1 } else { self.config.schema() };
        ensure(self.schema >= least, "schema", format!("at least {least} for this mode"), self.schema)?;
        environment(&self.environment)?;
        if let Some(at) = self.started_at_ms {
            ensure(
                (0.0..=MAX_DATE_MS).contains(&at),
                "startedAtMs",
                "a date in milliseconds since 1970",
                at,
            )?;
        }
        let lanes = self.lanes.len();
        ensure(lanes == self.config.systems.len(), "lanes", "as many as config.systems", lanes)?;
        for (index, lane) in self.lanes.iter().enumerate() {
            let at = format!("lanes[{index}]");
            let asked = self.config.systems.get(index).map_or("", |lane| lane.system());
            ensure(
                lane.system == asked,
                format!("{at}.system"),
                format!("`{asked}` as in config"),
                &lane.system,
            )?;
            self::lane(&at, lane)?;
            self.as_configured(index, &at, lane)?;
            self.decodings(&at, lane)?;
            let twin = self.lanes.iter().take(index).any(|other| {
                other.system == lane.system && other.backend == lane.backend && other.params == lane.params
            });
            ensure(!twin, at, "another system, backend or parameters than every lane before", &lane.title)?;
        }
        for (index, lane) in self.lanes.iter().enumerate() {
            for (at, point) in lane.points.iter().enumerate() {
                self.versus(index, point).map_err(|(name, allowed, got)| {
                    ReportError::invalid(format!("lanes[{index}].points[{at}].versus.{name}"), allowed, got)
                })?;
            }
        }
        self.crossovers(lanes)?;
        at_most("warnings", self.warnings.len(), MAX_WARNINGS)?;
        for (index, warning) in self.warnings.iter().enumerate() {
            self::warning(&format!("warnings[{index}]"), warning, lanes)?;
        }
        Ok(())
    }

    /// Checks that a lane agrees with the configuration: its backend, its parameters, its lengths.
    fn as_configured(&self, index: usize, at: &str, lane: &Lane) -> Result<(), ReportError> {
        let Some(asked) = self.config.systems.get(index) else { return Ok(()) };
        let wanted = match asked.backend().unwrap_or(self.config.backend) {
            BackendName::Cpu => Some("cpu"),
            BackendName::Webgpu => Some("webgpu"),
            BackendName::Auto => None,
        };
        ensure(
            wanted.is_none_or(|wanted| lane.backend == wanted),
            format!("{at}.backend"),
            "the one that config asks for",
            &lane.backend,
        )?;
        for (name, value) in asked.params().into_iter().flatten() {
            let given = lane.params.get(name);
            ensure(
                given.is_some_and(|given| same(given, value)),
                format!("{at}.params.{}", crate::text::shown(name)),
                "as in config",
                "another value",
            )?;
        }
        let lengths = lane.points.iter().map(|point| ("points", point.length));
        let fitted = lane.exponent.iter().map(|fit| ("exponent.fromLength", fit.from_length));
        for (field, length) in lengths.chain(fitted) {
            ensure(
                self.config.lengths.contains(&length),
                format!("{at}.{field}"),
                "at lengths of config",
                length,
            )?;
        }
        Ok(())
    }

    /// Checks what a lane's points have of decoding, which only decode races have.
    fn decodings(&self, at: &str, lane: &Lane) -> Result<(), ReportError> {
        for (index, point) in lane.points.iter().enumerate() {
            let Some(decode) = &point.decode else { continue };
            let at = format!("{at}.points[{index}].decode");
            let Task::Decode { tokens } = self.config.mode else {
                return Err(ReportError::invalid(at, "absent unless config.mode is decode", "an object"));
            };
            ensure(point.outcome == "ok", &at, "absent unless the outcome is ok", &point.outcome)?;
            decoding(&at, decode, tokens)?;
        }
        Ok(())
    }

    fn crossovers(&self, lanes: usize) -> Result<(), ReportError> {
        at_most("crossovers", self.crossovers.len(), RaceSpec::MAX_LANES)?;
        for (index, crossover) in self.crossovers.iter().enumerate() {
            let earlier = self.crossovers.iter().take(index);
            ensure(
                earlier.clone().all(|other| other.challenger != crossover.challenger),
                format!("crossovers[{index}].challenger"),
                "named once",
                crossover.challenger,
            )?;
            let at = format!("crossovers[{index}]");
            let Crossover { challenger, baseline, kind, estimate, low, high } = *crossover;
            for (name, lane) in [("challenger", challenger), ("baseline", baseline)] {
                ensure((lane as usize) < lanes, format!("{at}.{name}"), "the index of a lane", lane)?;
            }
            ensure(
                challenger != baseline,
                format!("{at}.challenger"),
                "another lane than the baseline",
                challenger,
            )?;
            ensure(
                self.can_cross(challenger as usize, baseline as usize),
                format!("{at}.baseline"),
                "an attention lane, and the challenger none",
                baseline,
            )?;
            ensure(
                estimate.is_some() == !matches!(kind, CrossoverKind::Undecided | CrossoverKind::None),
                format!("{at}.estimate"),
                "there exactly where there is a crossover",
                shown(estimate),
            )?;
            for (name, value) in [("estimate", estimate), ("low", low), ("high", high)] {
                ensure(
                    value.is_none_or(is_crossover) && (value.is_none() || estimate.is_some()),
                    format!("{at}.{name}"),
                    "a length from 1e-6 to 1e18",
                    shown(value),
                )?;
            }
            ensure(
                self.is_plausible(crossover),
                format!("{at}.estimate"),
                "between lengths that both lanes have measured, or predicted not far beyond them",
                shown(estimate),
            )?;
            ensure(
                kind != CrossoverKind::AtMost || (low == estimate && high == estimate),
                format!("{at}.low"),
                "the bound itself, as high is, where the kind is at-most",
                shown(low),
            )?;
            let ends = [low, estimate, high];
            ensure(
                ends.iter().flatten().is_sorted(),
                format!("{at}.low"),
                "at most the estimate, and that at most high",
                shown(low),
            )?;
        }
        Ok(())
    }
}

impl Report {
    /// Checks a point's comparison with attention: the baseline, the outcomes of both points, and the agreement of
    /// verdict, interval and times. An error is the field, its valid range and its value.
    pub(crate) fn versus(
        &self,
        lane: usize,
        point: &Point,
    ) -> Result<(), (&'static str, &'static str, String)> {
        let Some(versus) = point.versus else { return Ok(()) };
        let Versus { baseline, speedup, low, high, verdict } = versus;
        let other = self.lanes.get(baseline as usize);
        let other = other.filter(|_| self.baseline_of(lane) == Some(baseline as usize));
        let Some(other) = other else {
            let allowed = "the index of the attention lane on this lane's backend, another lane than this";
            return Err(("baseline", allowed, baseline.to_string()));
        };
        let theirs = other.points.iter().find(|other| other.length == point.length && other.outcome == "ok");
        let times =
            point.median_ms.filter(|_| point.outcome == "ok").zip(theirs.and_then(|other| other.median_ms));
        let Some((mine_ms, theirs_ms)) = times else {
            return Err(("speedup", "absent where either lane was not measured", speedup.to_string()));
        };
        let ratio = theirs_ms / mine_ms;
        if !(RATIO.contains(&speedup) && (ratio / FROM_TIMES..=ratio * FROM_TIMES).contains(&speedup)) {
            return Err(("speedup", "the ratio of the two lanes' times", speedup.to_string()));
        }
        if !(RATIO.contains(&low) && RATIO.contains(&high) && low <= speedup && speedup <= high) {
            return Err(("low", "at most the speedup, and that at most high", low.to_string()));
        }
        match verdict {
            Verdict::Ahead if low <= 1.0 => {
                Err(("low", "above 1 where the verdict is ahead", low.to_string()))
            }
            Verdict::Behind if high >= 1.0 => {
                Err(("high", "below 1 where the verdict is behind", high.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Whether `baseline` is a valid baseline of `challenger`.
    pub(crate) fn can_cross(&self, challenger: usize, baseline: usize) -> bool {
        self.lanes.get(challenger).zip(self.lanes.get(baseline)).is_some_and(|(challenger, baseline)| {
            challenger.system != BASELINE && baseline.system == BASELINE
        })
    }

    /// Whether a crossover is compatible with its lanes' points: between the shortest and the longest length that both
    /// have measured, or beyond the longest one by at most the prediction horizon.
    pub(crate) fn is_plausible(&self, crossover: &Crossover) -> bool {
        let Some(at) = crossover.estimate else { return true };
        let lanes = [crossover.challenger, crossover.baseline].map(|lane| self.lanes.get(lane as usize));
        let [Some(challenger), Some(baseline)] = lanes else { return false };
        let both = |length: &u32| challenger.measured_lengths().any(|other| other == *length);
        let mut common = baseline.measured_lengths().filter(both).map(f64::from);
        if crossover.kind == CrossoverKind::AtMost {
            return common.any(|length| length == at);
        }
        let Some(shortest) = common.next() else { return false };
        let longest = common.last().unwrap_or(shortest);
        let (low, high) = match crossover.kind {
            CrossoverKind::Predicted => (longest, longest * mixer::exp2(PREDICTION_HORIZON)),
            CrossoverKind::Measured
            | CrossoverKind::AtMost
            | CrossoverKind::Undecided
            | CrossoverKind::None => (shortest, longest),
        };
        (low / ROUNDING..=high * ROUNDING).contains(&at)
    }
}

impl Lane {
    pub(crate) fn measured_lengths(&self) -> impl Iterator<Item = u32> {
        self.points.iter().filter(|point| point.outcome == "ok").map(|point| point.length)
    }

    /// Whether the lane has enough measured points for an exponent from this length on.
    pub(crate) fn can_be_fitted(&self, from: u32) -> bool {
        self.measured_lengths().filter(|length| *length >= from).count() >= MIN_FIT_POINTS
    }
}

/// Whether two values of a parameter are equal; 1 and 1.0 are.
fn same(a: &ParamValue, b: &ParamValue) -> bool {
    let number = |value: &ParamValue| match value {
        ParamValue::Int(whole) => Some(*whole as f64),
        ParamValue::Float(real) => Some(*real),
        ParamValue::Bool(_) | ParamValue::Text(_) => None,
    };
    a == b || number(a).is_some_and(|a| number(b) == Some(a))
}

impl Status {
    /// Whether the race has ended.
    pub fn is_final(self) -> bool {
        self != Self::Running
    }
}

fn ensure(
    holds: bool,
    field: impl Into<String>,
    allowed: impl Into<Allowed>,
    got: impl std::fmt::Display,
) -> Result<(), ReportError> {
    if holds { Ok(()) } else { Err(ReportError::invalid(field, allowed, got)) }
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| value.to_string())
}

fn at_most(field: &str, got: usize, limit: usize) -> Result<(), ReportError> {
    if got <= limit { Ok(()) } else { Err(ReportError::TooMany { field: field.to_owned(), limit, got }) }
}

fn text(field: String, text: &str, max: usize) -> Result<(), ReportError> {
    ensure(is_clean(text, max), field, format!("at most {max} characters, no control characters"), text)
}

fn amount(field: String, value: f64) -> Result<(), ReportError> {
    ensure((0.0..=MAX_AMOUNT).contains(&value), field, "a number from 0 to 2^64", value)
}

fn count(field: String, value: u32) -> Result<(), ReportError> {
    ensure(value <= MAX_COUNT, field, format!("a whole number up to {MAX_COUNT}"), value)
}

fn time(field: String, value: Option<f64>) -> Result<(), ReportError> {
    ensure(value.is_none_or(is_time), field, "a time from 1e-12 to 1e12 milliseconds", shown(value))
}

fn length(field: String, value: u32) -> Result<(), ReportError> {
    ensure(is_length(value), field, format!("a whole number from 1 to {}", Problem::MAX_SEQ_LEN), value)
}

fn environment(environment: &Environment) -> Result<(), ReportError> {
    let at = |name: &str| format!("environment.{name}");
    text(at("build"), &environment.build, MAX_NAME)?;
    text(at("host"), &environment.host, MAX_NAME)?;
    text(at("agent"), &environment.agent, MAX_MESSAGE)?;
    text(at("simd"), &environment.simd, MAX_NAME)?;
    text(at("gpuMissing"), environment.gpu_missing.as_deref().unwrap_or_default(), MAX_MESSAGE)?;
    count(at("cores"), environment.cores)?;
    count(at("threads"), environment.threads)?;
    ensure(
        (0.0..=MAX_TICK_MS).contains(&environment.tick_ms),
        at("tickMs"),
        "a step of a clock in milliseconds",
        environment.tick_ms,
    )?;
    amount(at("cpuMemoryBytes"), environment.cpu_memory_bytes)?;
    if let Some(roofline) = &environment.roofline {
        for (name, peaks) in [("cpu", roofline.cpu), ("webgpu", roofline.webgpu)] {
            ensure(
                peaks.as_ref().is_none_or(are_peaks),
                at(&format!("roofline.{name}")),
                "flopsPerS, f16FlopsPerS, transcendentalsPerS and bytesPerS from 1 to 2^64, dispatchMs from 0 to 1e12",
                "other numbers",
            )?;
        }
    }
    environment.gpu.as_ref().map_or(Ok(()), gpu)
}

fn gpu(gpu: &Gpu) -> Result<(), ReportError> {
    let at = |name: &str| format!("environment.gpu.{name}");
    text(at("vendor"), &gpu.vendor, MAX_NAME)?;
    text(at("architecture"), &gpu.architecture, MAX_NAME)?;
    text(at("description"), &gpu.description, MAX_MESSAGE)?;
    text(at("api"), &gpu.api, MAX_NAME)?;
    amount(at("maxStorageBindingBytes"), gpu.max_storage_binding_bytes)?;
    amount(at("maxBufferBytes"), gpu.max_buffer_bytes)?;
    amount(at("maxWorkgroupStorageBytes"), gpu.max_workgroup_storage_bytes)?;
    amount(at("maxInvocationsPerWorkgroup"), gpu.max_invocations_per_workgroup)?;
    ensure(
        gpu.kernels.len() <= MAX_KERNELS,
        at("kernels"),
        format!("at most {MAX_KERNELS} entries"),
        gpu.kernels.len(),
    )?;
    for (index, chosen) in gpu.kernels.iter().enumerate() {
        let at = |name: &str| format!("environment.gpu.kernels[{index}].{name}");
        text(at("kernel"), &chosen.kernel, MAX_NAME)?;
        count(at("dHead"), chosen.d_head)?;
        text(at("variant"), &chosen.variant, MAX_NAME)?;
    }
    Ok(())
}

fn lane(at: &str, lane: &Lane) -> Result<(), ReportError> {
    ensure(is_id(&lane.system), format!("{at}.system"), "a system's name", &lane.system)?;
    text(format!("{at}.title"), &lane.title, MAX_NAME)?;
    let known = crate::convert::backend(&lane.backend).is_some();
    ensure(known, format!("{at}.backend"), "`cpu` or `webgpu`", &lane.backend)?;
    at_most(&format!("{at}.params"), lane.params.len(), 32)?;
    for (name, value) in &lane.params {
        let field = || format!("{at}.params.{}", crate::text::shown(name));
        ensure(is_param_name(name), field(), "named by letters, digits and underscores", "this name")?;
        match value {
            ParamValue::Float(real) => ensure(real.is_finite(), field(), "finite", real)?,
            ParamValue::Text(word) => text(field(), word, MAX_NAME)?,
            ParamValue::Bool(_) | ParamValue::Int(_) => {}
        }
    }
    verified(&format!("{at}.verification"), lane.verification.as_ref())?;
    at_most(&format!("{at}.points"), lane.points.len(), RaceSpec::MAX_LENGTHS)?;
    for (index, point) in lane.points.iter().enumerate() {
        self::point(&format!("{at}.points[{index}]"), point)?;
    }
    let timed = lane.points.iter().position(|point| point.outcome == "ok");
    ensure(
        timed.is_none() || lane.verification.is_none_or(|verified| verified.pass),
        format!("{at}.points[{}].outcome", timed.unwrap_or_default()),
        "something else than ok where the lane's verification failed",
        "ok",
    )?;
    let ascending = lane.points.is_sorted_by(|first, second| first.length < second.length);
    ensure(ascending, format!("{at}.points"), "of ascending length", "another order")?;
    if let Some(fitted) = &lane.exponent {
        let allowed = format!("an exponent within ±{MAX_EXPONENT} and its interval");
        ensure(exponent(fitted), format!("{at}.exponent"), allowed, fitted.estimate)?;
        ensure(
            lane.can_be_fitted(fitted.from_length),
            format!("{at}.exponent"),
            format!("of at least {MIN_FIT_POINTS} measured points"),
            fitted.estimate,
        )?;
    }
    let by_device = lane.points.iter().position(|point| point.device_ms.is_some());
    ensure(
        by_device.is_none() || lane.backend != "cpu",
        format!("{at}.points[{}].deviceMs", by_device.unwrap_or_default()),
        "null on the CPU, which has no clock of its own",
        "a time",
    )
}

fn point(at: &str, point: &Point) -> Result<(), ReportError> {
    let field = |name: &str| format!("{at}.{name}");
    length(field("length"), point.length)?;
    let known = OUTCOMES.contains(&point.outcome.as_str());
    ensure(known, field("outcome"), format!("one of {}", OUTCOMES.join(", ")), &point.outcome)?;
    text(field("message"), point.message.as_deref().unwrap_or_default(), MAX_MESSAGE)?;
    if let Some(reason) = &point.reason {
        crate::reason::check(reason, &field("reason"))?;
    }
    let quartiles = [point.min_ms, point.q1_ms, point.median_ms, point.q3_ms];
    for (name, value) in [
        ("minMs", point.min_ms),
        ("q1Ms", point.q1_ms),
        ("medianMs", point.median_ms),
        ("q3Ms", point.q3_ms),
        ("deviceMs", point.device_ms),
        ("setupMs", point.setup_ms),
        ("firstRunMs", point.first_run_ms),
        ("predictedMs", point.predicted_ms),
        ("lowMs", point.low_ms),
        ("highMs", point.high_ms),
        ("neededMs", point.needed_ms),
    ] {
        time(field(name), value)?;
    }
    let n_present = quartiles.iter().flatten().count();
    ensure(
        n_present == 4 || (n_present == 0 && point.outcome != "ok"),
        field("medianMs"),
        "there together with minMs, q1Ms and q3Ms, and wherever the outcome is ok",
        shown(point.median_ms),
    )?;
    let ordered =
        quartiles.is_sorted_by(|low, high| low.partial_cmp(high).is_some_and(std::cmp::Ordering::is_le));
    ensure(
        ordered,
        field("medianMs"),
        "between q1Ms and q3Ms, and those above minMs",
        shown(point.median_ms),
    )?;
    let interval = [point.low_ms, point.median_ms, point.high_ms];
    let n_present = interval.iter().flatten().count();
    ensure(
        (n_present == 3 && interval.is_sorted_by(|low, high| low <= high))
            || (point.low_ms.is_none() && point.high_ms.is_none()),
        field("lowMs"),
        "there together with highMs, and medianMs between them",
        shown(point.low_ms),
    )?;
    ensure(
        point.needed_ms.is_none() || point.outcome == "time-budget",
        field("neededMs"),
        "null unless the outcome is time-budget",
        shown(point.needed_ms),
    )?;
    count(field("setUps"), point.set_ups)?;
    count(field("samples"), point.samples)?;
    count(field("repeats"), point.repeats)?;
    count(field("discarded"), point.discarded)?;
    amount(field("flops"), point.flops)?;
    amount(field("executedFlops"), point.executed_flops.unwrap_or_default())?;
    amount(field("transcendentals"), point.transcendentals.unwrap_or_default())?;
    amount(field("bytes"), point.bytes)?;
    amount(field("peakBytes"), point.peak_bytes)?;
    amount(field("decodeStateBytes"), point.decode_state_bytes)?;
    ensure(
        point.outcome != "ok" || (point.samples > 0 && point.repeats > 0),
        field("samples"),
        "at least one, with at least one repeat, where the outcome is ok",
        point.samples,
    )?;
    ensure(
        point.outcome != "ok" || point.verified.is_none_or(|verified| verified.pass),
        field("outcome"),
        "something else than ok where the output was wrong",
        "ok",
    )?;
    verified(&field("verified"), point.verified.as_ref())
}

/// Whether a point of a race of this mode may have this state, prefill and single tokens.
pub(crate) fn is_decoding(decode: &Decoding, mode: Task) -> bool {
    match mode {
        Task::Decode { tokens } => decoding("", decode, tokens).is_ok(),
        Task::Forward => false,
    }
}

/// Checks the state, the prefill and the single tokens of a point. `tokens` is the number generated in a run.
fn decoding(at: &str, decode: &Decoding, tokens: usize) -> Result<(), ReportError> {
    let field = |name: &str| format!("{at}.{name}");
    time(field("prefillMs"), decode.prefill_ms)?;
    for (name, value) in [
        ("stateBytes", decode.state_bytes),
        ("prefillFlops", decode.prefill_flops),
        ("prefillExecutedFlops", decode.prefill_executed_flops),
        ("prefillTranscendentals", decode.prefill_transcendentals),
        ("prefillBytes", decode.prefill_bytes),
    ] {
        amount(field(name), value)?;
    }
    let Some(Steps { tokens: timed, median_ms, p99_ms, worst_ms }) = decode.steps else { return Ok(()) };
    ensure(
        (1..=tokens).contains(&(timed as usize)),
        field("steps.tokens"),
        Allowed::whole(1, tokens),
        timed,
    )?;
    for (name, ms) in [("medianMs", median_ms), ("p99Ms", p99_ms), ("worstMs", worst_ms)] {
        time(field(&format!("steps.{name}")), Some(ms))?;
    }
    ensure(
        median_ms <= p99_ms && p99_ms <= worst_ms,
        field("steps.p99Ms"),
        "at least medianMs, and at most worstMs",
        p99_ms,
    )
}

fn verified(at: &str, verified: Option<&Verified>) -> Result<(), ReportError> {
    let Some(verified) = verified else { return Ok(()) };
    length(format!("{at}.length"), verified.length)?;
    ensure(
        !verified.pass || verified.max_abs.is_some(),
        format!("{at}.pass"),
        "false where an output was not finite",
        true,
    )?;
    amount(format!("{at}.maxAbs"), verified.max_abs.unwrap_or(0.0))?;
    amount(format!("{at}.maxRel"), verified.max_rel.unwrap_or(0.0))
}

fn warning(at: &str, warning: &Warning, lanes: usize) -> Result<(), ReportError> {
    ensure(
        is_id(&warning.code),
        format!("{at}.code"),
        "a code of lower-case letters and hyphens",
        &warning.code,
    )?;
    text(format!("{at}.message"), &warning.message, MAX_MESSAGE)?;
    crate::reason::check_args(&warning.args, at, crate::reason::WARNING_DEPTH)?;
    let lane = warning.lane.unwrap_or(0);
    ensure(
        warning.lane.is_none_or(|lane| (lane as usize) < lanes),
        format!("{at}.lane"),
        "the index of a lane",
        lane,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{decode_report, report};

    /// The sample with one field set, parsed again.
    fn with(pointer: &str, value: Value) -> Result<Report, ReportError> {
        let mut json = serde_json::to_value(report()).unwrap();
        *json.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        assert_eq!(Report::from_json(&json.to_string()).is_ok(), Report::from_value(json.clone()).is_ok());
        Report::from_value(json)
    }

    #[test]
    fn the_sample_passes() {
        let json = serde_json::to_string(&report()).unwrap();
        assert_eq!(Report::from_json(&json), Ok(report()));
    }

    #[test]
    fn fault_24_numbers_out_of_range_are_refused_by_name() {
        let point = "/lanes/1/points/0";
        for (field, value, named) in [
            ("/length", json!(0), "lanes[1].points[0].length"),
            ("/length", json!(512), "lanes[1].points"),
            ("/medianMs", json!(-1.0), "lanes[1].points[0].medianMs"),
            ("/medianMs", json!(0.0), "lanes[1].points[0].medianMs"),
            ("/medianMs", json!(1e300), "lanes[1].points[0].medianMs"),
            ("/medianMs", json!(null), "lanes[1].points[0].medianMs"),
            ("/q1Ms", json!(1e9), "lanes[1].points[0].medianMs"),
            ("/minMs", json!(null), "lanes[1].points[0].medianMs"),
            ("/outcome", json!("won"), "lanes[1].points[0].outcome"),
            ("/samples", json!(4_000_000_000_u32), "lanes[1].points[0].samples"),
            ("/flops", json!(-1), "lanes[1].points[0].flops"),
            ("/peakBytes", json!(1e99), "lanes[1].points[0].peakBytes"),
            ("/setupMs", json!(-1), "lanes[1].points[0].setupMs"),
            ("/verified/maxAbs", json!(-1), "lanes[1].points[0].verified.maxAbs"),
        ] {
            let error = with(&format!("{point}{field}"), value).unwrap_err();
            assert_eq!((error.code(), error.field()), ("report-invalid", Some(named)), "{error}");
        }
        for (pointer, value, named) in [
            ("/startedAtMs", json!(-1), "startedAtMs"),
            ("/schema", json!(0), "schema"),
            ("/lanes/0/system", json!("hyena"), "lanes[0].system"),
            ("/lanes/0/backend", json!("tpu"), "lanes[0].backend"),
            ("/lanes/0/exponent/low", json!(1e9), "lanes[0].exponent"),
            ("/lanes/0/exponent/fromLength", json!(0), "lanes[0].exponent"),
            ("/lanes", json!([]), "lanes"),
            ("/crossovers/0/challenger", json!(2), "crossovers[0].challenger"),
            ("/crossovers/0/baseline", json!(1), "crossovers[0].challenger"),
            ("/crossovers/0/estimate", json!(null), "crossovers[0].estimate"),
            ("/crossovers/0/low", json!(0), "crossovers[0].low"),
            ("/crossovers/0/kind", json!("none"), "crossovers[0].estimate"),
            ("/warnings/0/lane", json!(2), "warnings[0].lane"),
            ("/warnings/0/code", json!("=1+1"), "warnings[0].code"),
            ("/environment/tickMs", json!(-1), "environment.tickMs"),
            ("/environment/gpu/maxBufferBytes", json!(1e30), "environment.gpu.maxBufferBytes"),
        ] {
            let error = with(pointer, value).unwrap_err();
            assert_eq!((error.code(), error.field()), ("report-invalid", Some(named)), "{error}");
        }
        let error = with("/config/heads", json!(0)).unwrap_err();
        assert_eq!((error.code(), error.field()), ("invalid-field", Some("heads")));
    }

    #[test]
    fn fault_24_values_that_no_race_produces_are_refused_by_name() {
        for (pointer, value, named) in [
            // Differs from the configuration.
            ("/lanes/1/params/gain", json!(0.75), "lanes[1].params.gain"),
            ("/config/backend", json!("webgpu"), "lanes[0].backend"),
            ("/lanes/1/points/0/length", json!(300), "lanes[1].points"),
            ("/lanes/1/exponent/fromLength", json!(300), "lanes[1].exponent.fromLength"),
            // A result without samples, or of a wrong output.
            ("/lanes/1/points/0/samples", json!(0), "lanes[1].points[0].samples"),
            ("/lanes/1/points/0/repeats", json!(0), "lanes[1].points[0].samples"),
            ("/lanes/1/points/0/verified/pass", json!(false), "lanes[1].points[0].outcome"),
            ("/lanes/1/points/0/verified/maxAbs", json!(null), "lanes[1].points[0].verified.pass"),
            ("/lanes/1/verification/pass", json!(false), "lanes[1].points[0].outcome"),
            // Crossovers without a basis.
            ("/crossovers/0/low", json!(1e9), "crossovers[0].low"),
            ("/crossovers/0/high", json!(1), "crossovers[0].low"),
            ("/lanes/1/exponent/estimate", json!(9), "lanes[1].exponent"),
            ("/lanes/1/points/0/flops", json!(2e19), "lanes[1].points[0].flops"),
            ("/environment/tickMs", json!(1e9), "environment.tickMs"),
            // Far from all measured points.
            ("/crossovers/0/estimate", json!(20_000), "crossovers[0].estimate"),
            ("/crossovers/0/estimate", json!(100), "crossovers[0].estimate"),
            ("/lanes/1/exponent/fromLength", json!(8192), "lanes[1].exponent"),
            ("/lanes/0/points/0/deviceMs", json!(1), "lanes[0].points[0].deviceMs"),
            // A verdict that contradicts its interval, its times or its lanes.
            ("/lanes/1/points/0/versus/low", json!(1), "lanes[1].points[0].versus.low"),
            ("/lanes/1/points/0/versus/low", json!(1e9), "lanes[1].points[0].versus.low"),
            ("/lanes/1/points/0/versus/high", json!(2), "lanes[1].points[0].versus.low"),
            ("/lanes/1/points/0/versus/verdict", json!("behind"), "lanes[1].points[0].versus.high"),
            ("/lanes/1/points/0/versus/speedup", json!(1), "lanes[1].points[0].versus.speedup"),
            ("/lanes/1/points/0/versus/baseline", json!(1), "lanes[1].points[0].versus.baseline"),
            ("/lanes/1/points/0/versus/baseline", json!(7), "lanes[1].points[0].versus.baseline"),
            ("/lanes/0/points/0/outcome", json!("cancelled"), "lanes[1].points[0].versus.speedup"),
            ("/lanes/1/points/0/lowMs", json!(null), "lanes[1].points[0].lowMs"),
            ("/lanes/1/points/0/lowMs", json!(1e3), "lanes[1].points[0].lowMs"),
            ("/lanes/1/points/0/highMs", json!(1e-6), "lanes[1].points[0].lowMs"),
            ("/lanes/1/points/0/neededMs", json!(5), "lanes[1].points[0].neededMs"),
            ("/lanes/1/points/0/setUps", json!(2_000_000_000), "lanes[1].points[0].setUps"),
            ("/lanes/1/exponent/leading/low", json!(9), "lanes[1].exponent"),
            ("/crossovers/0/kind", json!("at-most"), "crossovers[0].estimate"),
            ("/crossovers/0/kind", json!("undecided"), "crossovers[0].estimate"),
            ("/crossovers/0/kind", json!("none"), "crossovers[0].estimate"),
        ] {
            let error = with(pointer, value).unwrap_err();
            assert_eq!((error.code(), error.field()), ("report-invalid", Some(named)), "{error}");
        }
        let mut twin = report();
        twin.config.systems.push(twin.config.systems[1].clone());
        twin.lanes.push(twin.lanes[1].clone());
        assert_eq!(twin.validate().unwrap_err().field(), Some("lanes[2]"));
        let mut unmeasured = report();
        for point in &mut unmeasured.lanes[1].points {
            "cancelled".clone_into(&mut point.outcome);
            point.versus = None;
        }
        assert_eq!(unmeasured.validate().unwrap_err().field(), Some("lanes[1].exponent"));
        unmeasured.lanes[1].exponent = None;
        assert_eq!(unmeasured.validate().unwrap_err().field(), Some("crossovers[0].estimate"));
        let mut predicted = report();
        predicted.crossovers[0].kind = CrossoverKind::Predicted;
        for (at, fits) in [(2345.6, false), (8192.0, true), (2_000_000.0, true), (1e18, false)] {
            predicted.crossovers[0].estimate = Some(at);
            (predicted.crossovers[0].low, predicted.crossovers[0].high) = (None, None);
            assert_eq!(predicted.validate().is_ok(), fits, "{at}");
        }
        let mut bound = report();
        bound.crossovers[0].kind = CrossoverKind::AtMost;
        for (estimate, low, fits) in [(256.0, 256.0, true), (512.0, 512.0, true), (512.0, 256.0, false)] {
            let crossover = &mut bound.crossovers[0];
            (crossover.estimate, crossover.low, crossover.high) = (Some(estimate), Some(low), Some(estimate));
            assert_eq!(bound.validate().is_ok(), fits, "{estimate}");
        }
        let mut open = report();
        let crossover = &mut open.crossovers[0];
        (crossover.kind, crossover.estimate) = (CrossoverKind::Undecided, None);
        (crossover.low, crossover.high) = (None, None);
        assert_eq!(open.validate(), Ok(()));
        let mut twice = report();
        twice.crossovers.push(twice.crossovers[0]);
        assert_eq!(twice.validate().unwrap_err().field(), Some("crossovers[1].challenger"));
        let mut backwards = report();
        (backwards.crossovers[0].challenger, backwards.crossovers[0].baseline) = (0, 1);
        assert_eq!(backwards.validate().unwrap_err().field(), Some("crossovers[0].baseline"));
    }

    #[test]
    fn fault_24_decoding_that_no_race_has_is_refused_by_name() {
        let with = |pointer: &str, value: Value| {
            let mut json = serde_json::to_value(decode_report()).unwrap();
            *json.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
            assert_eq!(
                Report::from_json(&json.to_string()).is_ok(),
                Report::from_value(json.clone()).is_ok()
            );
            Report::from_value(json)
        };
        let json = serde_json::to_string(&decode_report()).unwrap();
        assert_eq!(Report::from_json(&json), Ok(decode_report()));
        let decode = "/lanes/1/points/0/decode";
        for (field, value, named) in [
            ("/stateBytes", json!(-1), "stateBytes"),
            ("/stateBytes", json!(1e30), "stateBytes"),
            ("/prefillMs", json!(0), "prefillMs"),
            ("/prefillMs", json!(-1), "prefillMs"),
            ("/prefillMs", json!(1e300), "prefillMs"),
            ("/prefillFlops", json!(-1), "prefillFlops"),
            ("/prefillExecutedFlops", json!(2e19), "prefillExecutedFlops"),
            ("/prefillTranscendentals", json!(-0.5), "prefillTranscendentals"),
            ("/prefillBytes", json!(1e99), "prefillBytes"),
            ("/steps/tokens", json!(0), "steps.tokens"),
            ("/steps/tokens", json!(65), "steps.tokens"),
            ("/steps/medianMs", json!(-1), "steps.medianMs"),
            ("/steps/worstMs", json!(1e300), "steps.worstMs"),
            // The times in another order.
            ("/steps/medianMs", json!(1e3), "steps.p99Ms"),
            ("/steps/p99Ms", json!(1e-9), "steps.p99Ms"),
            ("/steps/p99Ms", json!(1e3), "steps.p99Ms"),
            ("/steps/worstMs", json!(1e-9), "steps.p99Ms"),
        ] {
            let error = with(&format!("{decode}{field}"), value).unwrap_err();
            let named = format!("lanes[1].points[0].decode.{named}");
            assert_eq!((error.code(), error.field()), ("report-invalid", Some(named.as_str())), "{error}");
        }
        for value in [json!(null), json!("1"), json!([])] {
            let read = with(&format!("{decode}/stateBytes"), value).unwrap_err();
            assert_eq!(read.code(), "report-syntax");
        }
        for missing in [format!("{decode}/steps"), format!("{decode}/prefillMs"), decode.to_owned()] {
            assert!(with(&missing, json!(null)).is_ok(), "{missing}");
        }
        // A point without a result has none, and a report of forward passes none at all.
        let lost = decode_report().lanes[1].points[0].decode;
        let mut report = decode_report();
        report.lanes[0].points[6].decode = lost;
        assert_eq!(report.validate().unwrap_err().field(), Some("lanes[0].points[6].decode"));
        let mut forward = self::report();
        forward.lanes[1].points[0].decode = lost;
        assert_eq!(forward.validate().unwrap_err().field(), Some("lanes[1].points[0].decode"));
        // The configuration's own rules hold in reports.
        for (pointer, value, field) in [
            ("/config/tokens", json!(0), "tokens"),
            ("/config/tokens", json!(5000), "tokens"),
            ("/config/causal", json!(false), "causal"),
            ("/config/contexts", json!([0]), "contexts"),
            ("/config/contexts", json!([]), "contexts"),
        ] {
            let error = with(pointer, value).unwrap_err();
            assert_eq!((error.code(), error.field()), ("invalid-field", Some(field)), "{error}");
        }
        // Older readers would take the times for those of forward passes.
        assert_eq!(with("/schema", json!(2)).unwrap_err().field(), Some("schema"));
        let newer = Report { schema: 3, ..self::report() };
        assert_eq!(Report::from_json(&serde_json::to_string(&newer).unwrap()), Ok(self::report()));
    }

    #[test]
    fn fault_28_files_that_are_no_reports_are_refused() {
        let good = serde_json::to_string(&report()).unwrap();
        // Prototype keys are ordinary unknown fields and are ignored.
        let keyed = good.replacen('{', r#"{"__proto__": {"schema": 9}, "constructor": null, "#, 1);
        assert_eq!(Report::from_json(&keyed), Ok(report()));
        let mut param = serde_json::to_value(report()).unwrap();
        param["lanes"][0]["params"] = json!({"__proto__": 1});
        assert!(
            Report::from_value(param).is_ok_and(|report| report.lanes[0].params.contains_key("__proto__"))
        );
        // A duplicate key is refused: choosing either of its values would be a guess.
        let twice = good.replacen(r#""status":"#, r#""status": "running", "status":"#, 1);
        assert_eq!(Report::from_json(&twice).unwrap_err().code(), "report-syntax");
        let schema_twice = good.replacen(r#""schema":2"#, r#""schema":7,"schema":2"#, 1);
        assert_eq!(Report::from_json(&schema_twice).unwrap_err().code(), "report-syntax");
        for deep in ["[".repeat(100_000), format!(r#"{{"schema":1,"config":{}"#, r#"{"a":"#.repeat(100_000))]
        {
            assert_eq!(Report::from_json(&deep).unwrap_err().code(), "report-syntax");
        }
        for megabytes in [10, 50] {
            let large = format!("{good}{}", " ".repeat(megabytes << 20));
            assert_eq!(Report::from_json(&large).unwrap_err().code(), "report-too-large");
        }
        for wrong in ["\u{feff}", "null", "true", "1e999", r#""report""#, r#"{"schema":1,"lanes":{}}"#] {
            assert_eq!(Report::from_json(wrong).unwrap_err().code(), "report-syntax", "{wrong}");
        }
        // A lone surrogate is not valid text.
        let lone = good.replacen(r#""title":"Attention""#, r#""title":"\ud800""#, 1);
        assert_eq!(Report::from_json(&lone).unwrap_err().code(), "report-syntax");
    }

    #[test]
    fn fault_24_too_many_of_anything_is_refused() {
        let report = report();
        let mut points = report.clone();
        let point = points.lanes[0].points[0].clone();
        points.lanes[0].points = (1..=10_000).map(|length| Point { length, ..point.clone() }).collect();
        let mut warnings = report.clone();
        warnings.warnings = vec![report.warnings[0].clone(); 201];
        let mut crossovers = report.clone();
        crossovers.crossovers = vec![report.crossovers[0]; 29];
        for (many, field) in [(points, "lanes[0].points"), (warnings, "warnings"), (crossovers, "crossovers")]
        {
            let error = many.validate().unwrap_err();
            assert_eq!((error.code(), error.field()), ("report-too-many", Some(field)));
        }
    }

    #[test]
    fn fault_25_texts_are_short_and_plain() {
        for (pointer, field) in [
            ("/environment/agent", "environment.agent"),
            ("/environment/gpu/vendor", "environment.gpu.vendor"),
            ("/lanes/0/title", "lanes[0].title"),
            ("/lanes/0/points/6/message", "lanes[0].points[6].message"),
            ("/warnings/0/message", "warnings[0].message"),
        ] {
            for bad in ["a\nb", "\u{202e}", &"x".repeat(10_000)] {
                let error = with(pointer, json!(bad)).unwrap_err();
                assert_eq!(error.field(), Some(field), "{error}");
            }
            // Markup is ordinary text and is never shown as anything else.
            assert!(with(pointer, json!("</script><b onload=x>")).is_ok(), "{pointer}");
        }
    }

    #[test]
    fn fault_23_a_newer_format_is_reported_whatever_its_shape() {
        assert_eq!(Report::from_json(r#"{"schema": 4, "tracks": []}"#).unwrap_err().code(), "report-newer");
        assert_eq!(
            Report::from_value(json!({"schema": 5_000_000_000_u64})).unwrap_err().code(),
            "report-newer"
        );
        for bad in ["", "[]", "{}", r#"{"schema": 1}"#, r#"{"schema": "1"}"#] {
            assert_eq!(Report::from_json(bad).unwrap_err().code(), "report-syntax", "{bad}");
        }
        let long = " ".repeat(Report::MAX_JSON_BYTES + 1);
        assert_eq!(Report::from_json(&long).unwrap_err().code(), "report-too-large");
    }
}
