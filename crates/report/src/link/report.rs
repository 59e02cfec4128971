//! A report in a link. Names, texts and the configuration are exact; numbers are rounded as described in `numbers`.

use std::collections::BTreeMap;

use mixer::Task;
use race::RaceSpec;
use serde::{Deserialize, Serialize};

use super::config::{LinkConfig, LinkParams};
use super::list::{LANES, LENGTHS, List, WORDS};
use super::numbers::{COST, COUNT, ROUGH, from_hundredths, hundredths, quantise, restore};
use super::points::Columns;
use super::words::{Reader, Writer};
use super::{LinkError, sets};
use crate::validate::{CROSSOVER, MAX_AMOUNT, MAX_WARNINGS};
use crate::{
    Config, Crossover, CrossoverKind, Environment, Exponent, Gpu, Lane, ParamValue, Report, Status, Verified,
    Warning,
};

/// A link that holds a report.
#[derive(Serialize, Deserialize)]
pub(super) struct Body {
    words: List<String, WORDS>,
    config: LinkConfig,
    environment: LinkEnvironment,
    started_at_ms: Option<u64>,
    status: LinkStatus,
    lanes: List<LinkLane, LANES>,
    points: Columns,
    crossovers: List<LinkCrossover, LANES>,
    warnings: List<LinkWarning, MAX_WARNINGS>,
}

#[derive(Serialize, Deserialize)]
enum LinkStatus {
    Running,
    Done,
    Cancelled,
}

#[derive(Serialize, Deserialize)]
struct LinkEnvironment {
    build: u32,
    host: u32,
    agent: u32,
    cores: u32,
    threads: u32,
    simd: u32,
    isolated: bool,
    tick_ms: u32,
    cpu_memory_bytes: u32,
    gpu: Option<LinkGpu>,
    gpu_missing: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct LinkGpu {
    vendor: u32,
    architecture: u32,
    description: u32,
    api: u32,
    /// Bits: fallback, timestamps, subgroups, f16.
    flags: u8,
    max_storage_binding_bytes: u32,
    max_buffer_bytes: u32,
    max_workgroup_storage_bytes: u32,
    max_invocations_per_workgroup: u32,
}

#[derive(Serialize, Deserialize)]
struct LinkLane {
    title: u32,
    webgpu: bool,
    causal: bool,
    params: LinkLaneParams,
    verification: Option<LinkVerified>,
    /// Lengths, where they are not the first ones of the configuration.
    lengths: Option<List<u32, LENGTHS>>,
    n_points: u32,
    exponent: Option<LinkExponent>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct LinkVerified {
    length: u32,
    max_abs: Option<u32>,
    max_rel: Option<u32>,
    pass: bool,
}

/// Hundredths; the ends of the interval as distances from the estimate.
#[derive(Serialize, Deserialize)]
struct LinkExponent {
    estimate: i64,
    below: i64,
    above: i64,
    log2_scale_ms: i64,
    from_length: u32,
}

/// Parameters of a lane that ran, usually the paper's.
#[derive(Serialize, Deserialize)]
enum LinkLaneParams {
    /// The number of a known set.
    Known(u32),
    /// Any other parameters.
    Spelled(LinkParams),
}

/// The length in steps from [`MIDDLE`]; the ends of the interval as distances from it.
#[derive(Serialize, Deserialize)]
struct LinkCrossover {
    challenger: u32,
    baseline: u32,
    kind: LinkCrossoverKind,
    below: Option<i64>,
    above: Option<i64>,
}

/// The last two kinds exist since version 4.
#[derive(Serialize, Deserialize)]
enum LinkCrossoverKind {
    None,
    Measured(i64),
    Predicted(i64),
    Undecided,
    /// A raced length, stored exactly.
    AtMost(u32),
}

/// The expected crossover, 1,024, in steps.
const MIDDLE: i64 = (1023 + 10) << COST;

#[derive(Serialize, Deserialize)]
struct LinkWarning {
    code: u32,
    message: u32,
    lane: Option<u32>,
}

impl Body {
    /// `with_bounds` is set for versions that distinguish bounds and undecided crossovers.
    pub(super) fn new(report: &Report, with_bounds: bool) -> Self {
        let mut words = Writer::default();
        let lengths = report.config.sorted_lengths();
        let mut body = Self {
            words: List::default(),
            config: LinkConfig::new(&report.config, &mut words),
            environment: LinkEnvironment::new(&report.environment, &mut words),
            started_at_ms: report.started_at_ms.map(|at| at.round() as u64),
            status: match report.status {
                Status::Running => LinkStatus::Running,
                Status::Done => LinkStatus::Done,
                Status::Cancelled => LinkStatus::Cancelled,
            },
            lanes: report.lanes.iter().map(|lane| LinkLane::new(lane, &lengths, &mut words)).collect(),
            points: Columns::new(&report.lanes, &mut words),
            crossovers: report
                .crossovers
                .iter()
                .map(|crossover| LinkCrossover::new(crossover, with_bounds))
                .collect(),
            warnings: report.warnings.iter().map(|warning| LinkWarning::new(warning, &mut words)).collect(),
        };
        body.words = words.finish().into();
        body
    }

    /// The report, except for what other parts of a link hold. `mode` is the configuration's.
    pub(super) fn report(&self, mode: Task) -> Result<Report, LinkError> {
        let words = Reader(&self.words);
        let config = self.config.config(&words, mode)?;
        // Validated before any list is allocated from the link's numbers.
        config.check()?;
        let lanes = self.lanes(&config, &words)?;
        Ok(Report {
            schema: config.schema(),
            config,
            environment: self.environment.environment(&words)?,
            started_at_ms: self.started_at_ms.map(|at| at as f64),
            status: match self.status {
                LinkStatus::Running => Status::Running,
                LinkStatus::Done => Status::Done,
                LinkStatus::Cancelled => Status::Cancelled,
            },
            lanes,
            crossovers: self.crossovers.iter().map(LinkCrossover::crossover).collect::<Result<_, _>>()?,
            warnings: self
                .warnings
                .iter()
                .map(|warning| warning.warning(&words))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether a crossover has a kind that versions 1 to 3 lack.
    pub(super) fn has_bounds(&self) -> bool {
        let new = |crossover: &LinkCrossover| {
            matches!(crossover.kind, LinkCrossoverKind::Undecided | LinkCrossoverKind::AtMost(_))
        };
        self.crossovers.iter().any(new)
    }

    fn lanes(&self, config: &Config, words: &Reader) -> Result<Vec<Lane>, LinkError> {
        if self.lanes.len() != config.systems.len() {
            return Err(LinkError::content("lanes and systems differ in number"));
        }
        let mut points = self.points.reader();
        let all_lengths = config.sorted_lengths();
        let mut lanes = Vec::with_capacity(self.lanes.len());
        for (lane, asked) in self.lanes.iter().zip(&config.systems) {
            let lengths = lane.lengths.as_ref().map_or(&all_lengths[..], |own| &own[..]);
            let lengths = lengths
                .get(..lane.n_points as usize)
                .filter(|lengths| lengths.len() <= RaceSpec::MAX_LENGTHS)
                .ok_or_else(|| LinkError::content("more points than lengths"))?;
            lanes.push(Lane {
                system: asked.system().to_owned(),
                title: words.get(lane.title)?,
                backend: if lane.webgpu { "webgpu" } else { "cpu" }.to_owned(),
                params: lane.params.params(words)?,
                causal: lane.causal,
                verification: lane.verification.as_ref().map(LinkVerified::verified).transpose()?,
                points: points.lane(lengths, words)?,
                exponent: lane.exponent.as_ref().map(LinkExponent::exponent),
            });
        }
        points.end()?;
        Ok(lanes)
    }
}

/// An amount in steps, which fit in 32 bits: 11 of exponent, at most 11 of mantissa.
fn amount(value: f64, bits: u32) -> u32 {
    quantise(value, bits, 0.0, MAX_AMOUNT) as u32
}

fn from_steps(steps: u32, bits: u32) -> Result<f64, LinkError> {
    restore(i64::from(steps), bits).ok_or_else(|| LinkError::content("not a number"))
}

impl LinkEnvironment {
    fn new(environment: &Environment, words: &mut Writer) -> Self {
        Self {
            build: words.put(&environment.build),
            host: words.put(&environment.host),
            agent: words.put(&environment.agent),
            cores: environment.cores,
            threads: environment.threads,
            simd: words.put(&environment.simd),
            isolated: environment.isolated,
            tick_ms: amount(environment.tick_ms, COUNT),
            cpu_memory_bytes: amount(environment.cpu_memory_bytes, COST),
            gpu: environment.gpu.as_ref().map(|gpu| LinkGpu::new(gpu, words)),
            gpu_missing: environment.gpu_missing.as_ref().map(|reason| words.put(reason)),
        }
    }

    fn environment(&self, words: &Reader) -> Result<Environment, LinkError> {
        Ok(Environment {
            build: words.get(self.build)?,
            host: words.get(self.host)?,
            agent: words.get(self.agent)?,
            cores: self.cores,
            threads: self.threads,
            simd: words.get(self.simd)?,
            isolated: self.isolated,
            tick_ms: from_steps(self.tick_ms, COUNT)?,
            cpu_memory_bytes: from_steps(self.cpu_memory_bytes, COST)?,
            gpu: self.gpu.as_ref().map(|gpu| gpu.gpu(words)).transpose()?,
            gpu_missing: self.gpu_missing.map(|reason| words.get(reason)).transpose()?,
            roofline: None,
        })
    }
}

impl LinkGpu {
    fn new(gpu: &Gpu, words: &mut Writer) -> Self {
        let flags = [gpu.fallback, gpu.timestamps, gpu.subgroups, gpu.shader_f16];
        Self {
            vendor: words.put(&gpu.vendor),
            architecture: words.put(&gpu.architecture),
            description: words.put(&gpu.description),
            api: words.put(&gpu.api),
            flags: flags.iter().enumerate().map(|(bit, &flag)| u8::from(flag) << bit).sum(),
            max_storage_binding_bytes: amount(gpu.max_storage_binding_bytes, COST),
            max_buffer_bytes: amount(gpu.max_buffer_bytes, COST),
            max_workgroup_storage_bytes: amount(gpu.max_workgroup_storage_bytes, COST),
            max_invocations_per_workgroup: amount(gpu.max_invocations_per_workgroup, COST),
        }
    }

    fn gpu(&self, words: &Reader) -> Result<Gpu, LinkError> {
        if self.flags >> 4 != 0 {
            return Err(LinkError::content("a feature of a newer version"));
        }
        let flag = |bit: u32| self.flags >> bit & 1 == 1;
        Ok(Gpu {
            vendor: words.get(self.vendor)?,
            architecture: words.get(self.architecture)?,
            description: words.get(self.description)?,
            api: words.get(self.api)?,
            fallback: flag(0),
            max_storage_binding_bytes: from_steps(self.max_storage_binding_bytes, COST)?,
            max_buffer_bytes: from_steps(self.max_buffer_bytes, COST)?,
            max_workgroup_storage_bytes: from_steps(self.max_workgroup_storage_bytes, COST)?,
            max_invocations_per_workgroup: from_steps(self.max_invocations_per_workgroup, COST)?,
            timestamps: flag(1),
            subgroups: flag(2),
            shader_f16: flag(3),
            kernels: Vec::new(),
        })
    }
}

impl LinkLane {
    fn new(lane: &Lane, lengths: &[u32], words: &mut Writer) -> Self {
        let own: Vec<u32> = lane.points.iter().map(|point| point.length).collect();
        Self {
            title: words.put(&lane.title),
            webgpu: lane.backend == "webgpu",
            causal: lane.causal,
            params: LinkLaneParams::new(lane, words),
            verification: lane.verification.as_ref().map(LinkVerified::new),
            n_points: own.len() as u32,
            lengths: (!lengths.starts_with(&own)).then(|| own.into()),
            exponent: lane.exponent.as_ref().map(LinkExponent::new),
        }
    }
}

impl LinkVerified {
    fn new(verified: &Verified) -> Self {
        Self {
            length: verified.length,
            max_abs: verified.max_abs.map(|value| amount(value, ROUGH)),
            max_rel: verified.max_rel.map(|value| amount(value, ROUGH)),
            pass: verified.pass,
        }
    }

    fn verified(&self) -> Result<Verified, LinkError> {
        Ok(Verified {
            length: self.length,
            max_abs: self.max_abs.map(|steps| from_steps(steps, ROUGH)).transpose()?,
            max_rel: self.max_rel.map(|steps| from_steps(steps, ROUGH)).transpose()?,
            pass: self.pass,
        })
    }
}

impl LinkExponent {
    fn new(exponent: &Exponent) -> Self {
        let estimate = hundredths(exponent.estimate);
        Self {
            estimate,
            below: estimate - hundredths(exponent.low),
            above: hundredths(exponent.high) - estimate,
            log2_scale_ms: hundredths(exponent.log2_scale_ms),
            from_length: exponent.from_length,
        }
    }

    fn exponent(&self) -> Exponent {
        Exponent {
            estimate: from_hundredths(self.estimate),
            low: from_hundredths(self.estimate.wrapping_sub(self.below)),
            high: from_hundredths(self.estimate.wrapping_add(self.above)),
            log2_scale_ms: from_hundredths(self.log2_scale_ms),
            from_length: self.from_length,
            leading: None,
        }
    }
}

impl LinkLaneParams {
    fn new(lane: &Lane, words: &mut Writer) -> Self {
        match sets::find(&lane.system, &lane.params) {
            Some(index) => Self::Known(index),
            None => Self::Spelled(LinkParams::new(&lane.params, words)),
        }
    }

    fn params(&self, words: &Reader) -> Result<BTreeMap<String, ParamValue>, LinkError> {
        match self {
            Self::Known(index) => sets::get(*index),
            Self::Spelled(params) => params.params(words),
        }
    }
}

impl LinkCrossover {
    fn new(crossover: &Crossover, with_bounds: bool) -> Self {
        let steps = |value: f64| quantise(value, COST, *CROSSOVER.start(), *CROSSOVER.end());
        let estimate = crossover.estimate.map_or(MIDDLE, steps);
        let kind = match (crossover.kind, crossover.estimate) {
            (CrossoverKind::AtMost, Some(bound)) if with_bounds => LinkCrossoverKind::AtMost(bound as u32),
            (CrossoverKind::Undecided, _) if with_bounds => LinkCrossoverKind::Undecided,
            (CrossoverKind::None | CrossoverKind::Undecided, _) => LinkCrossoverKind::None,
            // Readers of versions 1 to 3 recognise the bound by its position.
            (CrossoverKind::Measured | CrossoverKind::AtMost, _) => {
                LinkCrossoverKind::Measured(estimate - MIDDLE)
            }
            (CrossoverKind::Predicted, _) => LinkCrossoverKind::Predicted(estimate - MIDDLE),
        };
        let ends = !matches!(kind, LinkCrossoverKind::AtMost(_));
        Self {
            challenger: crossover.challenger,
            baseline: crossover.baseline,
            kind,
            below: crossover.low.filter(|_| ends).map(|low| estimate - steps(low)),
            above: crossover.high.filter(|_| ends).map(|high| steps(high) - estimate),
        }
    }

    fn crossover(&self) -> Result<Crossover, LinkError> {
        let (challenger, baseline) = (self.challenger, self.baseline);
        let (kind, estimate) = match self.kind {
            LinkCrossoverKind::None => (CrossoverKind::None, None),
            LinkCrossoverKind::Measured(distance) => (CrossoverKind::Measured, Some(distance)),
            LinkCrossoverKind::Predicted(distance) => (CrossoverKind::Predicted, Some(distance)),
            LinkCrossoverKind::Undecided => (CrossoverKind::Undecided, None),
            LinkCrossoverKind::AtMost(bound) => {
                if self.below.is_some() || self.above.is_some() {
                    return Err(LinkError::content("an interval of a bound"));
                }
                let at = Some(f64::from(bound));
                let kind = CrossoverKind::AtMost;
                return Ok(Crossover { challenger, baseline, kind, estimate: at, low: at, high: at });
            }
        };
        let middle = MIDDLE.wrapping_add(estimate.unwrap_or(0));
        let length = |steps: Option<i64>| {
            let value =
                steps.map(|steps| restore(steps, COST).ok_or_else(|| LinkError::content("not a length")));
            value.transpose()
        };
        Ok(Crossover {
            challenger,
            baseline,
            kind,
            estimate: length(estimate.map(|_| middle))?,
            low: length(self.below.map(|below| middle.wrapping_sub(below)))?,
            high: length(self.above.map(|above| middle.wrapping_add(above)))?,
        })
    }
}

impl LinkWarning {
    fn new(warning: &Warning, words: &mut Writer) -> Self {
        Self { code: words.put(&warning.code), message: words.put(&warning.message), lane: warning.lane }
    }

    fn warning(&self, words: &Reader) -> Result<Warning, LinkError> {
        Ok(Warning {
            code: words.get(self.code)?,
            message: words.get(self.message)?,
            lane: self.lane,
            args: crate::ReasonArgs::new(),
        })
    }
}
