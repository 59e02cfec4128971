//! Systems and records for the tests of this crate.

use mixer::{
    Backend, Causality, Cost, Deviation, Family, Info, LaneSpec, Level, ParamKind, ParamSpec, Task,
    Tolerance, Verification,
};
use race::{
    Crossover, CrossoverKind, Decoding, Dnf, Estimate, Fit, LaneRecord, Outcome, Point, RaceSpec, Record,
    Status, Steps,
};

use crate::{Config, Environment, Gpu, Report};

pub(crate) static ATTENTION: Info = Info {
    id: "attention",
    title: "Attention",
    mark: 0,
    family: Family::Attention,
    causality: Causality::Both,
    complexity: "O(L²·D)",
    exponent: 2.0,
    year: 2017,
    paper: "Vaswani et al., Attention Is All You Need",
    arxiv: "1706.03762",
    reference: "torch.nn.MultiheadAttention",
    summary: "Every token looks at every earlier one.",
    params: &[],
    config: &[],
    spare: &[],
    tolerance: Tolerance { abs: 1e-4, rel: 1e-4 },
};

pub(crate) static TOY: Info = Info {
    id: "toy",
    title: "Toy",
    mark: 0,
    family: Family::Convolution,
    causality: Causality::CausalOnly,
    params: &[
        ParamSpec {
            name: "order",
            kind: ParamKind::Count { default: 2, low: 2, high: 8 },
            help: "Number of gates",
        },
        ParamSpec {
            name: "gain",
            kind: ParamKind::Number { default: 1.0, low: 0.0, high: 10.0 },
            help: "Gain",
        },
        ParamSpec { name: "bias", kind: ParamKind::Flag { default: true }, help: "Whether there is a bias" },
        ParamSpec {
            name: "mode",
            kind: ParamKind::Choice { choices: &["fast", "slow"] },
            help: "How it is done",
        },
    ],
    ..ATTENTION
};

pub(crate) static SYSTEMS: [&Info; 2] = [&ATTENTION, &TOY];

/// A finished record with two lanes, the first one ended by the memory limit.
pub(crate) fn record(config: &Config) -> Record {
    let spec = config.resolve(&SYSTEMS, false).unwrap();
    let mut lanes: Vec<LaneRecord> =
        spec.lanes.iter().enumerate().map(|(index, lane)| lane_record(index, lane, &spec)).collect();
    if let Some((baseline, challengers)) = lanes.split_first_mut() {
        challengers.iter_mut().for_each(|lane| judge(baseline, lane));
    }
    let length = Estimate { value: 2345.6, low: 2000.0, high: 2600.5 };
    Record {
        status: Status::Done,
        lanes,
        crossovers: vec![Crossover {
            challenger: 1,
            baseline: 0,
            kind: CrossoverKind::Measured,
            length: Some(length),
        }],
        tick_ns: 5000.0,
        warnings: vec![race::Warning::Drift { lane: 1, ratio: 1.25 }],
        spec,
    }
}

/// Compares every point of a lane with the first lane's.
fn judge(baseline: &LaneRecord, lane: &mut LaneRecord) {
    for (own, other) in lane.points.iter_mut().zip(&baseline.points) {
        let time = |point: &Point| {
            let (low, high) = point.interval_ns?;
            Some(Estimate { value: point.median_ns, low, high })
        };
        own.versus = time(other).zip(time(own)).map(|(other, own)| {
            let (speedup, verdict) = race::compare(other, own);
            race::Versus { baseline: 0, speedup, verdict }
        });
    }
}

fn lane_record(index: usize, lane: &LaneSpec, spec: &RaceSpec) -> LaneRecord {
    let deviation = Deviation { max_abs: 1.5e-6, max_rel: 3.1e-7, pass: true };
    let exponent = 2.0 - 0.9 * index as f64;
    let points = spec.lengths.iter().enumerate().map(|(step, &seq_len)| {
        let median_ns = 100.0 * (seq_len as f64).powf(exponent) * (1.0 + 0.013 * ((step * 7) % 5) as f64);
        let cut = index == 0 && step + 1 == spec.lengths.len();
        let time = |ns: f64| if cut { 0.0 } else { ns };
        Point {
            seq_len,
            outcome: if cut {
                Outcome::Dnf(Dnf::Memory { needed_bytes: 5 << 30, limit_bytes: 1 << 30 })
            } else {
                Outcome::Ok
            },
            samples_ns: if cut { vec![] } else { vec![median_ns; 15] },
            repeats: if cut { 0 } else { 4 },
            discarded: 0,
            q1_ns: time(median_ns * 0.98),
            median_ns: time(median_ns),
            q3_ns: time(median_ns * 1.03),
            min_ns: time(median_ns * 0.96),
            device_ns: None,
            setup_ns: time(2e6),
            first_run_ns: time(median_ns * 1.4),
            cost: Cost {
                flops: (seq_len as f64).powf(exponent) as u64 * 64,
                executed_flops: (seq_len as f64).powf(exponent) as u64 * 60,
                transcendentals: 256 * seq_len as u64,
                bytes: 4 * 256 * seq_len as u64,
                peak_bytes: 9 * 256 * seq_len as u64,
                decode_state_bytes: 512 * spec.problem(seq_len).capacity() as u64,
                setup_flops: 0,
                full_attention: index == 1 && step == 0,
            },
            peak_bytes: 9 * 256 * seq_len as u64,
            predicted_ns: cut.then_some(median_ns),
            verified: (!cut).then_some(Verification { seq_len, deviation }),
            set_ups: if cut { vec![] } else { vec![5; 3] },
            heats: if cut { vec![] } else { vec![1, 2, 3] },
            rounds: if cut { vec![] } else { (0..15).collect() },
            interval_ns: (!cut).then_some((median_ns * 0.97, median_ns * 1.03)),
            decoding: decoding(seq_len, median_ns, spec.task).filter(|_| !cut),
            versus: None,
        }
    });
    LaneRecord {
        spec: lane.clone(),
        verification: Some(Verification { seq_len: 160, deviation }),
        points: points.collect(),
        fit: Some(Fit {
            exponent: Estimate { value: exponent, low: exponent - 0.02, high: exponent + 0.03 },
            log2_scale: 6.64,
            from_len: spec.lengths[0],
            n_points: spec.lengths.len(),
            leading: Some(Estimate { value: exponent, low: exponent - 0.01, high: exponent + 0.01 }),
        }),
    }
}

/// A state that grows with the context, a prefill, and single tokens with a slow one among them.
fn decoding(seq_len: usize, median_ns: f64, task: Task) -> Option<Decoding> {
    let Task::Decode { tokens } = task else { return None };
    let flops = (seq_len as u64).pow(2) * 64;
    Some(Decoding {
        state_bytes: 512 * (seq_len + tokens) as u64,
        prefill_ns: Some(median_ns * 0.3 * seq_len as f64),
        prefill_cost: Cost {
            flops,
            executed_flops: flops / 2,
            transcendentals: 300 * seq_len as u64,
            bytes: 4096 * seq_len as u64,
            ..Cost::default()
        },
        steps: Some(Steps {
            tokens: tokens as u32,
            median_ns: median_ns * 1.01,
            p99_ns: median_ns * 1.2,
            worst_ns: median_ns * 3.4,
        }),
    })
}

/// A decode race of the same lanes.
pub(crate) fn decode_config() -> Config {
    Config { mode: Task::Decode { tokens: 64 }, batch: 2, ..config() }
}

pub(crate) fn decode_report() -> Report {
    let config = decode_config();
    Report::from_record(&record(&config), &config, &environment(), Some(1.78e12), &SYSTEMS)
}

pub(crate) fn config() -> Config {
    Config::from_json(r#"{"systems": ["attention", {"system": "toy", "params": {"gain": 0.5}}]}"#).unwrap()
}

pub(crate) fn environment() -> Environment {
    Environment {
        build: "0.1.0".into(),
        host: "browser".into(),
        agent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
            .into(),
        cores: 8,
        threads: 8,
        simd: "simd128".into(),
        isolated: true,
        tick_ms: 0.005,
        cpu_memory_bytes: 3_221_225_472.0,
        gpu: Some(Gpu {
            vendor: "nvidia".into(),
            architecture: "ampere".into(),
            description: String::new(),
            api: "webgpu".into(),
            fallback: false,
            max_storage_binding_bytes: 2_147_483_644.0,
            max_buffer_bytes: 4_294_967_296.0,
            max_workgroup_storage_bytes: 32_768.0,
            max_invocations_per_workgroup: 1024.0,
            timestamps: true,
            subgroups: true,
            shader_f16: true,
            kernels: Vec::new(),
        }),
        gpu_missing: None,
        roofline: None,
    }
}

pub(crate) fn report() -> Report {
    let config = config();
    Report::from_record(&record(&config), &config, &environment(), Some(1.78e12), &SYSTEMS)
}

#[test]
fn the_samples_are_valid() {
    decode_report().validate().unwrap();
    assert_eq!(record(&config()).spec.level, Level::Layer);
    assert!(record(&config()).spec.lanes.iter().all(|lane| lane.backend == Backend::Cpu));
}
