//! Converts the engine's record and the systems' facts to wire types. Whatever the record holds, the report passes
//! [`Report::validate`]: numbers that are not finite are omitted, untrusted text is cleaned.

use mixer::{
    Arg, Backend, Causality, Family, Info, LaneSpec, NoDecode, ParamKind, ParamSpec, Params, Said, Value,
    Verification,
};
use race::{Dnf, LaneRecord, Outcome, RaceSpec, Record};

use crate::text::clean;
use crate::validate::{MAX_AMOUNT, MAX_KERNELS, MAX_MESSAGE, MAX_NAME, MAX_WARNINGS};
use crate::{
    ChosenKernel, Config, Crossover, CrossoverKind, Decoding, Environment, Exponent, Gpu, Lane, Leading,
    NoDecoding, ParamEntry, ParamValue, Point, Reason, ReasonArg, ReasonArgs, Report, Roofline, Status,
    Steps, SystemEntry, Verdict, Verified, Versus, Warning,
};

const NS_PER_MS: f64 = 1e6;

impl Report {
    /// The report of `record`, the result of running `config`. `systems` supplies titles and forms.
    pub fn from_record(
        record: &Record,
        config: &Config,
        environment: &Environment,
        started_at_ms: Option<f64>,
        systems: &[&Info],
    ) -> Self {
        let mut report = Self {
            schema: config.schema(),
            config: config.clone(),
            environment: environment.cleaned(),
            started_at_ms: started_at_ms.filter(|at| (0.0..=crate::validate::MAX_DATE_MS).contains(at)),
            status: match record.status {
                race::Status::Running => Status::Running,
                race::Status::Done => Status::Done,
                race::Status::Cancelled => Status::Cancelled,
            },
            lanes: record.lanes.iter().map(|lane| self::lane(lane, record.spec.causal, systems)).collect(),
            crossovers: Vec::new(),
            warnings: warnings(record, environment),
        };
        report.crossovers = report.possible_crossovers(record);
        report.drop_impossible_verdicts();
        report.drop_impossible_decodings();
        report.with_shares()
    }

    /// Removes what a report of this mode may not contain about decoding.
    fn drop_impossible_decodings(&mut self) {
        let mode = self.config.mode;
        for point in self.lanes.iter_mut().flat_map(|lane| &mut lane.points) {
            point.decode = point.decode.filter(|decode| crate::validate::is_decoding(decode, mode));
        }
    }

    /// Removes comparisons that a report may not contain: of unmeasured points, or with numbers that contradict each
    /// other.
    fn drop_impossible_verdicts(&mut self) {
        let kept: Vec<Vec<Option<Versus>>> = (0..self.lanes.len())
            .map(|lane| {
                let points = self.lanes.get(lane).map_or(&[][..], |lane| &lane.points);
                let sound = |point: &Point| point.versus.filter(|_| self.versus(lane, point).is_ok());
                points.iter().map(sound).collect()
            })
            .collect();
        for (lane, kept) in self.lanes.iter_mut().zip(kept) {
            lane.points.iter_mut().zip(kept).for_each(|(point, kept)| point.versus = kept);
        }
    }

    fn possible_crossovers(&self, record: &Record) -> Vec<Crossover> {
        let mut crossovers: Vec<Crossover> = Vec::new();
        for crossover in record.crossovers.iter().take(RaceSpec::MAX_LANES) {
            let new = crossovers.iter().all(|other| other.challenger != length(crossover.challenger));
            if new && self.can_cross(crossover.challenger, crossover.baseline) {
                let found = self::crossover(crossover);
                let open = Crossover {
                    kind: CrossoverKind::Undecided,
                    estimate: None,
                    low: None,
                    high: None,
                    ..found
                };
                crossovers.push(if self.is_plausible(&found) { found } else { open });
            }
        }
        crossovers
    }
}

impl From<Verification> for Verified {
    fn from(verification: Verification) -> Self {
        let Verification { seq_len, deviation } = verification;
        let sane = |value: f64| (0.0..=MAX_AMOUNT).contains(&value).then_some(value);
        let (max_abs, max_rel) = (sane(deviation.max_abs), sane(deviation.max_rel));
        Self { length: length(seq_len), max_abs, max_rel, pass: deviation.pass && max_abs.is_some() }
    }
}

fn length(seq_len: usize) -> u32 {
    u32::try_from(seq_len).unwrap_or(u32::MAX)
}

fn params(params: &Params) -> std::collections::BTreeMap<String, ParamValue> {
    params.iter().map(|(name, value)| (name.to_owned(), ParamValue::from(value))).collect()
}

fn lane(record: &LaneRecord, causal: bool, systems: &[&Info]) -> Lane {
    let LaneSpec { system, backend, params: given } = &record.spec;
    let info = systems.iter().find(|info| info.id == system);
    let verification = record.verification.map(Verified::from);
    let trusted = verification.is_none_or(|verified| verified.pass);
    let mut lane = Lane {
        system: system.clone(),
        title: info.map_or_else(|| system.clone(), |info| info.title.to_owned()),
        backend: backend.name().to_owned(),
        params: params(given),
        causal: info.map_or(causal, |info| info.runs_causally(causal)),
        verification,
        points: record
            .points
            .iter()
            .filter(|point| !at_work(point))
            .map(|record| point(record, *backend, trusted))
            .collect(),
        exponent: None,
    };
    let fitted = record.fit.as_ref().and_then(exponent);
    lane.exponent = fitted.filter(|fitted| lane.can_be_fitted(fitted.from_length));
    lane
}

fn exponent(fit: &race::Fit) -> Option<Exponent> {
    let exponent = Exponent {
        estimate: fit.exponent.value,
        low: fit.exponent.low,
        high: fit.exponent.high,
        // Nanoseconds to milliseconds.
        log2_scale_ms: fit.log2_scale - NS_PER_MS.log2(),
        from_length: length(fit.from_len),
        leading: fit
            .leading
            .map(|leading| Leading { estimate: leading.value, low: leading.low, high: leading.high })
            .filter(crate::validate::is_leading),
    };
    crate::validate::exponent(&exponent).then_some(exponent)
}

/// Converts nanoseconds to milliseconds; `None` unless they are a valid time.
fn ms(ns: f64) -> Option<f64> {
    let ms = ns / NS_PER_MS;
    crate::validate::is_time(ms).then_some(ms)
}

/// Whether a point is being measured and has no sample yet.
fn at_work(point: &race::Point) -> bool {
    point.outcome == Outcome::Ok && point.samples_ns.is_empty()
}

fn point(record: &race::Point, backend: Backend, trusted: bool) -> Point {
    let verified = record.verified.map(Verified::from);
    let trusted = trusted && verified.is_none_or(|verified| verified.pass);
    let quartiles = [record.min_ns, record.q1_ns, record.median_ns, record.q3_ns].map(ms);
    let timed = quartiles.iter().all(Option::is_some)
        && quartiles.is_sorted_by(|low, high| low.partial_cmp(high).is_some_and(std::cmp::Ordering::is_le));
    let [min_ms, q1_ms, median_ms, q3_ms] = if timed { quartiles } else { [None; 4] };
    let interval = record.interval_ns.and_then(|(low, high)| Some((ms(low)?, ms(high)?)));
    let interval =
        interval.filter(|(low, high)| median_ms.is_some_and(|median| (*low..=*high).contains(&median)));
    let (outcome, message, reason) = match &record.outcome {
        // The engine already marks such points. This guard ensures that no report shows the time of a wrong output.
        Outcome::Ok if timed && !trusted => ("not-verified", None, None),
        Outcome::Ok if timed => ("ok", None, None),
        Outcome::Ok => {
            ("failed", Some("the clock gave no usable time".to_owned()), Some(Reason::new("no-usable-time")))
        }
        Outcome::Dnf(reason) => dnf(reason),
    };
    Point {
        length: length(record.seq_len),
        outcome: outcome.to_owned(),
        message: message.map(|message| clean(&message, MAX_MESSAGE)),
        reason,
        median_ms,
        q1_ms,
        q3_ms,
        min_ms,
        samples: length(record.samples_ns.len()).min(crate::validate::MAX_COUNT),
        repeats: record.repeats.clamp(u32::from(!record.samples_ns.is_empty()), crate::validate::MAX_COUNT),
        discarded: record.discarded.min(crate::validate::MAX_COUNT),
        device_ms: record.device_ns.filter(|_| backend != Backend::Cpu).and_then(ms),
        setup_ms: ms(record.setup_ns),
        first_run_ms: ms(record.first_run_ns),
        predicted_ms: record.predicted_ns.and_then(ms),
        flops: record.cost.flops as f64,
        executed_flops: Some(record.cost.executed_flops as f64),
        transcendentals: Some(record.cost.transcendentals as f64),
        bytes: record.cost.bytes as f64,
        peak_bytes: record.peak_bytes as f64,
        decode_state_bytes: record.cost.decode_state_bytes as f64,
        verified,
        roofline_share: None,
        low_ms: interval.map(|(low, _)| low),
        high_ms: interval.map(|(_, high)| high),
        set_ups: length(record.set_ups.len()).min(crate::validate::MAX_COUNT),
        versus: record.versus.as_ref().map(Versus::from),
        full_attention: record.cost.full_attention,
        needed_ms: match record.outcome {
            Outcome::Dnf(Dnf::TimeBudget { needed_ns }) => needed_ns.and_then(ms),
            _ => None,
        },
        decode: record.decoding.as_ref().filter(|_| outcome == "ok").map(Decoding::from),
    }
}

impl From<&race::Decoding> for Decoding {
    fn from(decoding: &race::Decoding) -> Self {
        let race::Decoding { state_bytes, prefill_ns, prefill_cost, steps } = decoding;
        Self {
            state_bytes: *state_bytes as f64,
            prefill_ms: prefill_ns.and_then(ms),
            prefill_flops: prefill_cost.flops as f64,
            prefill_executed_flops: prefill_cost.executed_flops as f64,
            prefill_transcendentals: prefill_cost.transcendentals as f64,
            prefill_bytes: prefill_cost.bytes as f64,
            prefill_roofline_share: None,
            steps: steps.as_ref().and_then(steps_of),
        }
    }
}

/// The times of single tokens, if they are valid and in order.
fn steps_of(steps: &race::Steps) -> Option<Steps> {
    let times = [steps.median_ns, steps.p99_ns, steps.worst_ns].map(ms);
    let [Some(median_ms), Some(p99_ms), Some(worst_ms)] = times else { return None };
    (median_ms <= p99_ms && p99_ms <= worst_ms && steps.tokens > 0).then_some(Steps {
        tokens: steps.tokens,
        median_ms,
        p99_ms,
        worst_ms,
    })
}

impl From<&race::Versus> for Versus {
    fn from(versus: &race::Versus) -> Self {
        let race::Versus { baseline, speedup, verdict } = *versus;
        Self {
            baseline: length(baseline),
            speedup: speedup.value,
            low: speedup.low,
            high: speedup.high,
            verdict: verdict.into(),
        }
    }
}

impl From<race::Verdict> for Verdict {
    fn from(verdict: race::Verdict) -> Self {
        match verdict {
            race::Verdict::Ahead => Self::Ahead,
            race::Verdict::Behind => Self::Behind,
            race::Verdict::Undecided => Self::Undecided,
        }
    }
}

/// The outcome's stable name, the English message and the reason as data.
fn dnf(reason: &Dnf) -> (&'static str, Option<String>, Option<Reason>) {
    let told = |outcome, message: &Said| {
        let reason = if message.code.is_empty() {
            // The device's own message.
            Reason::new(outcome).with("reason", ReasonArg::from(&Arg::Text(message.to_string())))
        } else {
            Reason::from(message)
        };
        (outcome, Some(message.to_string()), Some(reason))
    };
    match reason {
        Dnf::Memory { needed_bytes, limit_bytes } => (
            "memory",
            Some(format!(
                "needs {} MiB; {} MiB are available",
                needed_bytes.div_ceil(1 << 20),
                limit_bytes >> 20
            )),
            Some(
                Reason::new("out-of-memory")
                    .with("needed", ReasonArg::Bytes { bytes: *needed_bytes as f64 })
                    .with("limit", ReasonArg::Bytes { bytes: *limit_bytes as f64 }),
            ),
        ),
        // The time needed has a field of its own.
        Dnf::TimeBudget { .. } => ("time-budget", None, None),
        Dnf::DeviceLimit { message } => told("device-limit", message),
        Dnf::DeviceLost { message } => told("device-lost", message),
        Dnf::NoBackend { message } => told("no-backend", message),
        Dnf::Unsupported { message } => told("unsupported", message),
        Dnf::NotVerified => ("not-verified", None, None),
        Dnf::Failed { code, message } => (
            "failed",
            Some(format!("{message} ({code})")),
            Some(Reason { code: clean(code, MAX_NAME), args: crate::reason_args(&message.args) }),
        ),
        Dnf::Cancelled => ("cancelled", None, None),
    }
}

fn crossover(crossover: &race::Crossover) -> Crossover {
    let bound = |value: f64| crate::validate::is_crossover(value).then_some(value);
    let counts = !matches!(crossover.kind, race::CrossoverKind::Undecided | race::CrossoverKind::None);
    let estimate = crossover.length.filter(|length| counts && crate::validate::is_crossover(length.value));
    Crossover {
        challenger: length(crossover.challenger),
        baseline: length(crossover.baseline),
        kind: match (crossover.kind, estimate) {
            (race::CrossoverKind::Measured, Some(_)) => CrossoverKind::Measured,
            (race::CrossoverKind::AtMost, Some(_)) => CrossoverKind::AtMost,
            (race::CrossoverKind::Predicted, Some(_)) => CrossoverKind::Predicted,
            (race::CrossoverKind::None, _) => CrossoverKind::None,
            // A length out of range means that nothing is known.
            _ => CrossoverKind::Undecided,
        },
        estimate: estimate.map(|length| length.value),
        low: estimate.and_then(|length| bound(length.low).filter(|low| *low <= length.value)),
        high: estimate.and_then(|length| bound(length.high).filter(|high| *high >= length.value)),
    }
    .with_bound()
}

fn warnings(record: &Record, environment: &Environment) -> Vec<Warning> {
    // The engine does not know the adapter, but the environment does.
    let software = environment.gpu.as_ref().is_some_and(|gpu| gpu.fallback)
        && record.lanes.iter().any(|lane| lane.spec.backend == Backend::WebGpu)
        && !record.warnings.contains(&race::Warning::SoftwareGpu);
    let added = software.then_some(&race::Warning::SoftwareGpu);
    let all = added.into_iter().chain(&record.warnings);
    all.filter_map(|warning| self::warning(warning, record)).take(MAX_WARNINGS).collect()
}

fn warning(warning: &race::Warning, record: &Record) -> Option<Warning> {
    let mut args = ReasonArgs::new();
    let mut with = |name: &str, arg: ReasonArg| args.insert(name.to_owned(), arg);
    let (code, message, lane) = match warning {
        race::Warning::Drift { lane, ratio } => {
            let name = record.lanes.get(*lane).map_or("a lane", |lane| lane.spec.system.as_str());
            let text = format!(
                "{name}: the first length took {ratio:.2} times as long when it was measured again at the end; \
                 let the machine cool down, close other programs, and race again"
            );
            with("system", ReasonArg::Text(clean(name, MAX_NAME)));
            with("ratio", ReasonArg::from(&Arg::Number(*ratio)));
            ("drift", text, (*lane < record.lanes.len()).then_some(length(*lane)))
        }
        race::Warning::Discarded { samples } => {
            let text = format!(
                "{samples} samples were thrown away because the tab was hidden or the clock jumped; keep the tab in \
                 front while it races"
            );
            with("samples", ReasonArg::Number(f64::from(*samples)));
            ("discarded", text, None)
        }
        race::Warning::Outliers { lane, samples, of } => {
            let name = record.lanes.get(*lane).map_or("a lane", |lane| lane.spec.system.as_str());
            let text = format!(
                "{name}: {samples} of {of} samples lie far from the others of their length; they are kept: close other \
                 programs and race again"
            );
            with("system", ReasonArg::Text(clean(name, MAX_NAME)));
            with("samples", ReasonArg::Number(*samples as f64));
            with("of", ReasonArg::Number(*of as f64));
            ("outliers", text, (*lane < record.lanes.len()).then_some(length(*lane)))
        }
        race::Warning::CoarseClock { tick_ns } => {
            let text = format!(
                "the clock moves in steps of {:.3} ms, so short times are coarse",
                tick_ns / NS_PER_MS
            );
            with("step", ReasonArg::from(&Arg::Nanoseconds(*tick_ns)));
            ("coarse-clock", text, None)
        }
        race::Warning::SoftwareGpu => (
            "software-gpu",
            "the GPU is emulated in software: its times say nothing of real GPUs".to_owned(),
            None,
        ),
        race::Warning::Cancelled => {
            ("cancelled", "the race was stopped before its end; what was measured stands".to_owned(), None)
        }
        // A kind of warning that this version cannot describe.
        _ => return None,
    };
    Some(Warning { code: code.to_owned(), message: clean(&message, MAX_MESSAGE), lane, args })
}

impl Environment {
    /// The environment with untrusted text cleaned and numbers that are not finite set to 0.
    #[must_use]
    pub fn cleaned(&self) -> Self {
        Self {
            build: clean(&self.build, MAX_NAME),
            host: clean(&self.host, MAX_NAME),
            agent: clean(&self.agent, MAX_MESSAGE),
            cores: self.cores.min(crate::validate::MAX_COUNT),
            threads: self.threads.min(crate::validate::MAX_COUNT),
            simd: clean(&self.simd, MAX_NAME),
            isolated: self.isolated,
            tick_ms: amount(self.tick_ms).min(crate::validate::MAX_TICK_MS),
            cpu_memory_bytes: amount(self.cpu_memory_bytes),
            gpu: self.gpu.as_ref().map(Gpu::cleaned),
            gpu_missing: self.gpu_missing.as_deref().map(|reason| clean(reason, MAX_MESSAGE)),
            roofline: self.roofline.map(|Roofline { cpu, webgpu }| Roofline {
                cpu: cpu.filter(crate::validate::are_peaks),
                webgpu: webgpu.filter(crate::validate::are_peaks),
            }),
        }
    }
}

impl Gpu {
    fn cleaned(&self) -> Self {
        Self {
            vendor: clean(&self.vendor, MAX_NAME),
            architecture: clean(&self.architecture, MAX_NAME),
            description: clean(&self.description, MAX_MESSAGE),
            api: clean(&self.api, MAX_NAME),
            fallback: self.fallback,
            max_storage_binding_bytes: amount(self.max_storage_binding_bytes),
            max_buffer_bytes: amount(self.max_buffer_bytes),
            max_workgroup_storage_bytes: amount(self.max_workgroup_storage_bytes),
            max_invocations_per_workgroup: amount(self.max_invocations_per_workgroup),
            timestamps: self.timestamps,
            subgroups: self.subgroups,
            shader_f16: self.shader_f16,
            kernels: self.kernels.iter().take(MAX_KERNELS).map(ChosenKernel::cleaned).collect(),
        }
    }
}

impl ChosenKernel {
    fn cleaned(&self) -> Self {
        Self {
            kernel: clean(&self.kernel, MAX_NAME),
            d_head: self.d_head.min(crate::validate::MAX_COUNT),
            variant: clean(&self.variant, MAX_NAME),
            ..*self
        }
    }
}

fn amount(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, MAX_AMOUNT) }
}

impl SystemEntry {
    /// The entry of a system that decodes, or does not for a reason.
    pub fn new(info: &Info, decodes: Result<(), NoDecode>) -> Self {
        Self {
            id: info.id.to_owned(),
            title: info.title.to_owned(),
            mark: u32::from(info.mark),
            family: match info.family {
                Family::Attention => "attention",
                Family::EfficientAttention => "efficient-attention",
                Family::Convolution => "convolution",
                Family::StateSpace => "state-space",
                Family::Liquid => "liquid",
            }
            .to_owned(),
            causality: match info.causality {
                Causality::Both => "both",
                Causality::CausalOnly => "causal-only",
                Causality::BidirectionalOnly => "bidirectional-only",
            }
            .to_owned(),
            complexity: info.complexity.to_owned(),
            exponent: info.exponent,
            year: u32::from(info.year),
            paper: info.paper.to_owned(),
            arxiv: info.arxiv.to_owned(),
            reference: info.reference.to_owned(),
            summary: info.summary.to_owned(),
            params: info.params.iter().map(ParamEntry::from).collect(),
            no_decode: decodes.err().map(NoDecoding::from),
        }
    }
}

impl From<NoDecode> for NoDecoding {
    fn from(why: NoDecode) -> Self {
        Self { code: why.code().to_owned(), message: why.to_string() }
    }
}

impl From<&ParamSpec> for ParamEntry {
    fn from(spec: &ParamSpec) -> Self {
        let (kind, default, low, high, choices): (_, Value, _, _, &[&str]) = match spec.kind {
            ParamKind::Count { default, low, high } => {
                ("count", default.into(), Some(low as f64), Some(high as f64), &[])
            }
            ParamKind::Flag { default } => ("flag", default.into(), None, None, &[]),
            ParamKind::Number { default, low, high } => {
                ("number", default.into(), Some(low), Some(high), &[])
            }
            ParamKind::Choice { choices } => {
                ("choice", choices.first().copied().unwrap_or_default().into(), None, None, choices)
            }
        };
        Self {
            name: spec.name.to_owned(),
            help: spec.help.to_owned(),
            kind: kind.to_owned(),
            default: ParamValue::from(&default),
            low,
            high,
            choices: choices.iter().map(|&word| word.to_owned()).collect(),
        }
    }
}

/// Parses the wire's name of a backend.
pub(crate) fn backend(name: &str) -> Option<Backend> {
    [Backend::Cpu, Backend::WebGpu].into_iter().find(|backend| backend.name() == name)
}

#[cfg(test)]
mod tests {
    use mixer::Deviation;
    use proptest::prelude::*;
    use race::Estimate;

    use super::*;
    use crate::testing::{ATTENTION, SYSTEMS, TOY, config, decode_config, environment, record, report};

    #[test]
    fn a_report_contains_the_records_data() {
        let report = report();
        report.validate().unwrap();
        let [attention, toy] = report.lanes.as_slice() else { panic!("two lanes") };
        assert_eq!((attention.title.as_str(), attention.backend.as_str()), ("Attention", "cpu"));
        assert_eq!(toy.params.get("gain"), Some(&ParamValue::Float(0.5)));
        assert_eq!(toy.params.get("order"), Some(&ParamValue::Int(2)));
        let first = &toy.points[0];
        let median_ns = 100.0 * 256_f64.powf(1.1);
        assert!((first.median_ms.unwrap() - median_ns / 1e6).abs() < 1e-12);
        assert_eq!((first.outcome.as_str(), first.samples, first.repeats), ("ok", 15, 4));
        let last = attention.points.last().unwrap();
        assert_eq!((last.outcome.as_str(), last.median_ms), ("memory", None));
        assert_eq!(last.message.as_deref(), Some("needs 5120 MiB; 1024 MiB are available"));
        assert!(last.predicted_ms.is_some());
        let exponent = attention.exponent.unwrap();
        assert_eq!((exponent.estimate, exponent.from_length), (2.0, 256));
        // The fitted line in milliseconds: 2^6.64 ns at L = 1.
        assert!((exponent.log2_scale_ms.exp2() * 1e6 - 6.64_f64.exp2()).abs() < 1e-9);
        assert_eq!(report.crossovers[0].estimate, Some(2345.6));
        assert_eq!((report.warnings[0].code.as_str(), report.warnings[0].lane), ("drift", Some(1)));
    }

    #[test]
    fn only_finite_numbers_reach_json() {
        let config = config();
        let mut record = record(&config);
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0] {
            let lane = &mut record.lanes[1];
            let deviation = Deviation { max_abs: bad, max_rel: bad, pass: true };
            lane.verification = Some(Verification { seq_len: 160, deviation });
            let point = &mut lane.points[0];
            (point.median_ns, point.setup_ns, point.device_ns) = (bad, bad, Some(bad));
            point.predicted_ns = Some(bad);
            if let Some(fit) = &mut lane.fit {
                (fit.log2_scale, fit.exponent.high) = (bad, bad);
            }
            record.crossovers[0].length = Some(Estimate { value: bad, low: bad, high: bad });
            let mut machine = environment();
            machine.tick_ms = bad;
            machine.agent = "evil\u{202e}\n".repeat(100);
            let report = Report::from_record(&record, &config, &machine, Some(bad), &SYSTEMS);
            report.validate().unwrap();
            assert_eq!(report.lanes[1].points[0].outcome, "failed");
            let json = serde_json::to_string(&report).unwrap();
            assert_eq!(Report::from_json(&json).unwrap(), report);
        }
    }

    #[test]
    fn verdicts_intervals_and_needs_equal_the_records() {
        let config = config();
        let mut record = record(&config);
        let last = record.lanes[0].points.last_mut().unwrap();
        last.outcome = Outcome::Dnf(Dnf::TimeBudget { needed_ns: Some(4.1e10) });
        let report = Report::from_record(&record, &config, &environment(), None, &SYSTEMS);
        report.validate().unwrap();
        let (point, own) = (&report.lanes[1].points[0], &record.lanes[1].points[0]);
        let versus = own.versus.unwrap();
        assert_eq!(point.versus, Some(Versus::from(&versus)));
        assert_eq!((point.versus.unwrap().verdict, point.set_ups), (Verdict::Ahead, 3));
        assert_eq!(
            point.low_ms.zip(point.high_ms),
            own.interval_ns.map(|(low, high)| (low / 1e6, high / 1e6))
        );
        assert!(point.full_attention && !report.lanes[1].points[1].full_attention);
        assert_eq!(report.lanes[0].points.last().unwrap().needed_ms, Some(41_000.0));
        assert!(report.lanes[0].points.iter().all(|point| point.versus.is_none()));
        assert_eq!(report.lanes[1].exponent.unwrap().leading.unwrap().estimate, 1.1);
    }

    #[test]
    fn a_decode_race_has_its_state_prefill_and_single_tokens() {
        let config = decode_config();
        let mut record = record(&config);
        let mut machine = environment();
        let peaks = crate::Peaks {
            flops_per_s: 1e9,
            f16_flops_per_s: None,
            transcendentals_per_s: Some(1e8),
            bytes_per_s: 1e9,
            dispatch_ms: 0.0,
        };
        machine.roofline = Some(Roofline { cpu: Some(peaks), webgpu: None });
        let report = Report::from_record(&record, &config, &machine, None, &SYSTEMS);
        report.validate().unwrap();
        assert_eq!(report.schema, 3);
        let (point, own) = (&report.lanes[1].points[0], record.lanes[1].points[0].decoding.unwrap());
        let decode = point.decode.unwrap();
        assert_eq!((decode.state_bytes, point.decode_state_bytes), (512.0 * 320.0, 512.0 * 320.0));
        assert_eq!(decode.prefill_ms, own.prefill_ns.map(|ns| ns / 1e6));
        assert_eq!(decode.prefill_flops, own.prefill_cost.flops as f64);
        let least_ms = peaks.least_ms(256.0 * 256.0 * 32.0, 300.0 * 256.0, 4096.0 * 256.0);
        assert_eq!(decode.prefill_roofline_share, Some(least_ms / decode.prefill_ms.unwrap()));
        let (steps, own) = (decode.steps.unwrap(), own.steps.unwrap());
        assert_eq!((steps.tokens, steps.p99_ms), (64, own.p99_ns / 1e6));
        assert_eq!(report.tokens_per_s(point), point.median_ms.map(|ms| 2000.0 / ms));
        assert_eq!(self::report().tokens_per_s(point), None);

        // No time for a prefill, a clock too coarse for single tokens, impossible times, a point that is still at work.
        let points = &mut record.lanes[1].points;
        let mut change = |at: usize, change: &dyn Fn(&mut race::Decoding)| {
            change(points[at].decoding.as_mut().unwrap());
        };
        change(0, &|decoding| (decoding.prefill_ns, decoding.steps) = (None, None));
        change(1, &|decoding| decoding.prefill_ns = Some(f64::NAN));
        change(2, &|decoding| decoding.steps.as_mut().unwrap().worst_ns = 1.0);
        change(3, &|decoding| decoding.steps.as_mut().unwrap().tokens = 65);
        points[4].decoding = None;
        let report = Report::from_record(&record, &config, &machine, None, &SYSTEMS);
        report.validate().unwrap();
        let decodes: Vec<_> = report.lanes[1].points.iter().map(|point| point.decode).collect();
        assert!(decodes[0].is_some_and(|decode| decode.prefill_ms.is_none() && decode.steps.is_none()));
        assert!(decodes[1].is_some_and(|decode| decode.prefill_ms.is_none() && decode.steps.is_some()));
        assert!(decodes[2].is_some_and(|decode| decode.prefill_ms.is_some() && decode.steps.is_none()));
        assert!(decodes[3].is_none() && decodes[4].is_none() && decodes[5].is_some());
        // A race of forward passes has none, whatever its record holds.
        let report = Report::from_record(&record, &self::config(), &machine, None, &SYSTEMS);
        assert!(report.lanes.iter().flat_map(|lane| &lane.points).all(|point| point.decode.is_none()));
    }

    #[test]
    fn an_invalid_verdict_is_omitted() {
        let config = config();
        for change in [
            |versus: &mut race::Versus| versus.speedup.low = 0.5,
            |versus: &mut race::Versus| versus.speedup.high = f64::NAN,
            |versus: &mut race::Versus| versus.speedup.value = 1.0,
            |versus: &mut race::Versus| versus.verdict = race::Verdict::Behind,
            |versus: &mut race::Versus| versus.baseline = 1,
        ] {
            let mut record = record(&config);
            change(record.lanes[1].points[0].versus.as_mut().unwrap());
            let report = Report::from_record(&record, &config, &environment(), None, &SYSTEMS);
            report.validate().unwrap();
            assert_eq!(report.lanes[1].points[0].versus, None);
            assert!(report.lanes[1].points[1].versus.is_some());
        }
    }

    #[test]
    fn every_kind_of_crossover_is_converted() {
        let config = config();
        let bound = Estimate { value: 256.0, low: 200.0, high: 300.0 };
        let found = Estimate { value: 2345.6, low: 2000.0, high: 2600.5 };
        let beyond = Estimate { value: 20_000.0, low: 10_000.0, high: 1e6 };
        for (kind, length, wire, estimate) in [
            (race::CrossoverKind::Measured, Some(found), CrossoverKind::Measured, Some(2345.6)),
            (race::CrossoverKind::AtMost, Some(bound), CrossoverKind::AtMost, Some(256.0)),
            (race::CrossoverKind::Predicted, Some(beyond), CrossoverKind::Predicted, Some(20_000.0)),
            (race::CrossoverKind::Undecided, None, CrossoverKind::Undecided, None),
            (race::CrossoverKind::None, None, CrossoverKind::None, None),
            // Nothing is claimed for an impossible combination.
            (race::CrossoverKind::AtMost, Some(found), CrossoverKind::Undecided, None),
            (race::CrossoverKind::Measured, Some(beyond), CrossoverKind::Undecided, None),
            (race::CrossoverKind::Measured, None, CrossoverKind::Undecided, None),
        ] {
            let mut record = record(&config);
            (record.crossovers[0].kind, record.crossovers[0].length) = (kind, length);
            let report = Report::from_record(&record, &config, &environment(), None, &SYSTEMS);
            report.validate().unwrap();
            let crossover = report.crossovers[0];
            assert_eq!((crossover.kind, crossover.estimate), (wire, estimate), "{kind:?}");
            if wire == CrossoverKind::AtMost {
                assert_eq!((crossover.low, crossover.high), (estimate, estimate));
            }
        }
    }

    #[test]
    fn a_point_is_hidden_until_its_first_sample() {
        let config = config();
        let mut record = record(&config);
        let point = record.lanes[1].points.last_mut().unwrap();
        point.samples_ns.clear();
        (point.median_ns, point.verified) = (0.0, None);
        let report = Report::from_record(&record, &config, &environment(), None, &SYSTEMS);
        assert_eq!(report.lanes[1].points.len(), record.lanes[1].points.len() - 1);
        report.validate().unwrap();
    }

    #[test]
    fn every_reason_has_its_outcome_and_every_outcome_passes() {
        let message = || "line 3:\n\tbad".to_owned();
        let reasons = [
            (Dnf::Memory { needed_bytes: 1, limit_bytes: 0 }, "memory"),
            (Dnf::TimeBudget { needed_ns: None }, "time-budget"),
            (Dnf::DeviceLimit { message: message().into() }, "device-limit"),
            (Dnf::DeviceLost { message: message().into() }, "device-lost"),
            (Dnf::NoBackend { message: message().into() }, "no-backend"),
            (Dnf::Unsupported { message: message().into() }, "unsupported"),
            (Dnf::NotVerified, "not-verified"),
            (Dnf::Failed { code: "x".into(), message: message().into() }, "failed"),
            (Dnf::Cancelled, "cancelled"),
        ];
        let config = config();
        for (reason, outcome) in reasons {
            let mut record = record(&config);
            record.lanes[0].points.last_mut().unwrap().outcome = Outcome::Dnf(reason);
            let report = Report::from_record(&record, &config, &environment(), None, &SYSTEMS);
            report.validate().unwrap();
            assert_eq!(report.lanes[0].points.last().unwrap().outcome, outcome);
        }
    }

    #[test]
    fn fault_14_a_software_adapter_that_raced_is_named() {
        let mut machine = environment();
        let codes = |record: &Record, machine: &Environment| -> Vec<String> {
            let report = Report::from_record(record, &config(), machine, None, &SYSTEMS);
            report.warnings.into_iter().map(|warning| warning.code).collect()
        };
        let mut record = record(&config());
        if let Some(gpu) = &mut machine.gpu {
            gpu.fallback = true;
        }
        // The lanes on the CPU do not concern the adapter.
        assert_eq!(codes(&record, &machine), ["drift"]);
        record.lanes[1].spec.backend = Backend::WebGpu;
        assert_eq!(codes(&record, &machine), ["software-gpu", "drift"]);
        record.warnings.push(race::Warning::SoftwareGpu);
        assert_eq!(codes(&record, &machine), ["drift", "software-gpu"]);
        record.warnings.pop();
        assert_eq!(codes(&record, &environment()), ["drift"]);
    }

    #[test]
    fn systems_with_a_single_form_are_marked() {
        let config = Config { causal: false, ..config() };
        let report = Report::from_record(&record(&config), &config, &environment(), None, &SYSTEMS);
        assert!(!report.lanes[0].causal && report.lanes[1].causal);
    }

    #[test]
    fn systems_are_listed_with_their_parameters() {
        let entry = SystemEntry::new(&TOY, Ok(()));
        assert_eq!((entry.family.as_str(), entry.causality.as_str()), ("convolution", "causal-only"));
        let kinds: Vec<&str> = entry.params.iter().map(|param| param.kind.as_str()).collect();
        assert_eq!(kinds, ["count", "number", "flag", "choice"]);
        assert_eq!((entry.params[0].low, entry.params[0].high), (Some(2.0), Some(8.0)));
        assert_eq!(entry.params[3].default, ParamValue::Text("fast".into()));
        assert!(entry.no_decode.is_none());
        let other = SystemEntry::new(&ATTENTION, Err(NoDecode::NotCausal));
        assert!(other.params.is_empty());
        let why = other.no_decode.unwrap();
        assert_eq!((why.code.as_str(), why.message), ("decode-not-causal", NoDecode::NotCausal.to_string()));
    }

    /// Any number, with frequent special values.
    fn number() -> impl Strategy<Value = f64> {
        let strange =
            vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, f64::MIN_POSITIVE, f64::MAX];
        prop_oneof![any::<f64>(), 1.0..1e9_f64, prop::sample::select(strange)]
    }

    proptest! {
        #[test]
        fn any_numbers_give_a_valid_report(
            numbers in prop::collection::vec(number(), 12),
            pass in any::<bool>(),
            lanes in (0..4_usize, 0..4_usize),
            decodes in any::<bool>(),
            started in prop::option::of(number()),
            text in any::<String>(),
        ) {
            let config = if decodes { decode_config() } else { config() };
            let mut record = record(&config);
            if let Some(decoding) = &mut record.lanes[1].points[0].decoding {
                decoding.prefill_ns = Some(numbers[2]);
                let tokens = lanes.0 as u32;
                let steps = race::Steps { tokens, median_ns: numbers[3], p99_ns: numbers[4], worst_ns: numbers[5] };
                decoding.steps = Some(steps);
            }
            let lane = &mut record.lanes[1];
            let deviation = Deviation { max_abs: numbers[0], max_rel: numbers[1], pass };
            lane.verification = Some(Verification { seq_len: 160, deviation });
            let point = &mut lane.points[1];
            (point.min_ns, point.q1_ns, point.median_ns, point.q3_ns) = (numbers[2], numbers[3], numbers[4], numbers[5]);
            (point.setup_ns, point.first_run_ns) = (numbers[6], numbers[7]);
            (point.device_ns, point.predicted_ns) = (Some(numbers[8]), Some(numbers[9]));
            let estimate = Estimate { value: numbers[10], low: numbers[11], high: numbers[0] };
            if let Some(fit) = &mut lane.fit {
                (fit.exponent, fit.log2_scale) = (estimate, numbers[1]);
            }
            record.lanes[1].points[1].interval_ns = Some((numbers[4], numbers[5]));
            if let Some(versus) = &mut record.lanes[1].points[2].versus {
                (versus.speedup, versus.baseline) = (estimate, lanes.1);
            }
            record.lanes[0].points[4].outcome = Outcome::Dnf(Dnf::TimeBudget { needed_ns: Some(numbers[2]) });
            record.crossovers[0].length = Some(estimate);
            (record.crossovers[0].challenger, record.crossovers[0].baseline) = lanes;
            record.warnings.push(race::Warning::Drift { lane: lanes.0, ratio: numbers[2] });
            record.lanes[0].points[3].outcome = Outcome::Dnf(Dnf::DeviceLost { message: text.clone().into() });
            let mut machine = environment();
            (machine.tick_ms, machine.agent) = (numbers[3], text);
            let report = Report::from_record(&record, &config, &machine, started, &SYSTEMS);
            prop_assert_eq!(report.validate(), Ok(()));
            prop_assert_eq!(Report::from_json(&serde_json::to_string(&report).unwrap()), Ok(report));
        }
    }
}
