//! Every system's GPU plan on a real adapter, compared with the authors' golden vectors and, for random shapes, with
//! the f64 reference and the CPU kernel. One test per system: `cargo test -p compute --test gpu_parity hyena`.

#![expect(clippy::unwrap_used, reason = "a test that cannot get at its input has failed")]

mod common;

use std::sync::Arc;

use common::{PROBLEM, alone, device, edge_problems, golden_files};
use compute::gpu::{Gpu, GpuLane, GpuOptions};
use compute::{CancelSwitch, golden};
use libtest_mimic::{Arguments, Trial};
use mixer::{Case, GpuTarget, Level, Memory, Params, Plan, Problem, Serial, System, Tolerance};
use pollster::block_on;

fn check(system: &'static System) {
    let _alone = alone();
    let Some(gpu) = device(GpuOptions::default()) else { return };
    let mut failures = Vec::new();
    // Golden cases use the guaranteed limits of WebGPU and the kernels for hardware. Random shapes use all limits of
    // the adapter and both sets of kernels in turn.
    let least = device(GpuOptions { guaranteed_limits_only: true, ..GpuOptions::default() }).unwrap();
    goldens(system, &least, &mut failures);
    shapes(system, &gpu, &mut failures);
    for gpu in [gpu, least] {
        assert_eq!(gpu.uncaptured_errors(), [""; 0]);
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// [`run_as`] what the adapter is.
fn run(system: &System, case: &Case, gpu: &Gpu) -> Result<Vec<f32>, String> {
    run_as(system, case, gpu, gpu.target().is_fallback)
}

/// The output of a second run over a poisoned output: nothing may be left over from the first. `is_fallback`: with the
/// kernels of software adapters, whatever the adapter is.
fn run_as(system: &System, case: &Case, gpu: &Gpu, is_fallback: bool) -> Result<Vec<f32>, String> {
    let target = GpuTarget { is_fallback, ..*gpu.target() };
    twice(gpu, system.gpu(case, &target).map_err(|error| error.to_string())?)
}

fn twice(gpu: &Gpu, plan: Plan) -> Result<Vec<f32>, String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    block_on(async {
        let mut lane = GpuLane::new(gpu, plan, &CancelSwitch::default()).await.map_err(|e| words(&e))?;
        lane.run(1).await.map_err(|error| words(&error))?;
        let first = lane.output().await.map_err(|error| words(&error))?;
        lane.spoil().await.map_err(|e| words(&e))?;
        lane.run(2).await.map_err(|error| words(&error))?;
        let second = lane.output().await.map_err(|error| words(&error))?;
        let scale = first.iter().fold(0.0_f32, |scale, value| scale.max(value.abs()));
        let apart = first.iter().zip(&second).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
        if apart <= 1e-5 * scale { Ok(second) } else { Err(format!("a second run differs by {apart}")) }
    })
}

/// The plan with each variant of its kernels, by the variant's name.
fn in_all_ways(plan: Plan) -> Vec<(&'static str, Plan)> {
    let Some(choice) = plan.choices().into_iter().next() else { return vec![("", plan)] };
    let ways = choice.variants.iter().map(|variant| {
        let mut plan = plan.clone();
        plan.choose(choice.class, variant.name);
        (variant.name, plan)
    });
    ways.collect()
}

/// Golden files of a system that are computed by every variant of its kernels; further files by one variant each, in turn. A
/// software adapter compiles each variant for seconds.
const IN_ALL_WAYS: usize = 3;

fn goldens(system: &'static System, gpu: &Gpu, failures: &mut Vec<String>) {
    let id = system.info().id;
    let author = kernels::trials_of(id).and_then(|trials| trials.golden).unwrap_or(id);
    let mut seen = 0_usize;
    for path in golden_files() {
        let file = golden::read(&std::fs::read(&path).unwrap()).unwrap();
        if file.system != author {
            continue;
        }
        let target = GpuTarget { is_fallback: false, ..*gpu.target() };
        let plan = system.gpu(&file.case, &target).unwrap();
        let mut ways = in_all_ways(plan);
        if seen >= IN_ALL_WAYS {
            let turn = seen % ways.len();
            ways = vec![ways.swap_remove(turn)];
        }
        seen += 1;
        for (name, plan) in ways {
            match twice(gpu, plan) {
                Ok(output) => {
                    let deviation = file.tolerance.compare_f32(&output, &file.expected);
                    if !deviation.pass {
                        failures.push(format!("golden {} {name}: {deviation:?}", file.case_name));
                    }
                }
                Err(error) => failures.push(format!("golden {} {name}: {error}", file.case_name)),
            }
        }
    }
    assert!(seen > 0, "no golden file for {id}");
}

fn shapes(system: &'static System, gpu: &Gpu, failures: &mut Vec<String>) {
    let trials = kernels::trials_of(system.info().id).unwrap();
    let mut tried = 0;
    for (index, problem) in problems().into_iter().enumerate() {
        let Ok(case) = system.seeded_case(&problem, &(trials.params)(index, &problem)) else { continue };
        tried += 1;
        let want = system.reference(&case).unwrap();
        let tolerance = system.info().tolerance;
        let output = match run_as(system, &case, gpu, index % 4 != 0) {
            Ok(output) => output,
            Err(error) => {
                failures.push(format!("{problem:?}: {error}"));
                continue;
            }
        };
        let deviation = tolerance.compare_rows(&output, &want, problem.d_model);
        if !deviation.pass {
            failures.push(format!("{problem:?}: against the reference {deviation:?}"));
        }
        let cpu = cpu(system, case);
        let cpu: Vec<f64> = cpu.iter().map(|&value| f64::from(value)).collect();
        // Both outputs may deviate from the reference by the tolerance.
        let both = Tolerance { abs: 2.0 * tolerance.abs, rel: 2.0 * tolerance.rel };
        let deviation = both.compare_f32(&output, &cpu);
        if !deviation.pass {
            failures.push(format!("{problem:?}: against the CPU {deviation:?}"));
        }
    }
    assert!(tried >= 10, "{} accepts only {tried} of the shapes", system.info().id);
}

/// Long enough for transforms beyond workgroup memory, several runs of chunks and long steps of scans, by the CPU
/// kernel, which spot checks hold to the reference.
fn long_sequences_agree_with_the_cpu() {
    let _alone = alone();
    let Some(gpu) = device(GpuOptions::default()) else { return };
    let mut failures = Vec::new();
    // At least two systems for each primitive: long convolutions, scans, prefix sums.
    for id in ["monarch-mixer", "mega", "liquid-s4", "linformer", "performer"] {
        let system = kernels::find(id).unwrap();
        for causal in [true, false] {
            let problem = Problem { seq_len: 33_001, d_model: 4, causal, ..PROBLEM };
            let mut params = Params::new();
            if id == "monarch-mixer" {
                params.set("filter_order", 8_usize);
            }
            let case = system.seeded_case(&problem, &params).unwrap();
            let output = run(system, &case, &gpu).unwrap();
            let cpu: Vec<f64> = cpu(system, case).into_iter().map(f64::from).collect();
            let Tolerance { abs, rel } = system.info().tolerance;
            let deviation = Tolerance { abs: 2.0 * abs, rel: 2.0 * rel }.compare_f32(&output, &cpu);
            if !deviation.pass {
                failures.push(format!("{id} causal {causal}: {deviation:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn cpu(system: &System, case: Case) -> Vec<f32> {
    let mut kernel = system.cpu(&Arc::new(case), &Memory::new(4 << 30), &Serial).unwrap();
    kernel.run(&Serial).unwrap();
    kernel.output().to_vec()
}

/// A recurrence cut into dispatches of a few steps, and of a few of its sequences, goes on where it stopped.
fn recurrences_in_short_dispatches_agree_with_the_cpu() {
    let _alone = alone();
    let Some(gpu) = device(GpuOptions::default()) else { return };
    for id in ["ltc", "cfc"] {
        let system = kernels::find(id).unwrap();
        for (index, wiring) in ["full", "ncp"].into_iter().enumerate() {
            let mut params = Params::new();
            params.set("wiring", wiring);
            params.set("mixed_memory", index == 0);
            let problem = Problem { batch: 5, seq_len: 67, d_model: 12, ..PROBLEM };
            let case = system.seeded_case(&problem, &params).unwrap();
            let flops = system.cost(&problem, &params).unwrap().flops;
            let target = GpuTarget { max_dispatch_flops: flops / 80, ..*gpu.target() };
            let plan = system.gpu(&case, &target).unwrap();
            assert!(plan.run.len() > 80, "{id} {wiring}: {} dispatches", plan.run.len());
            let output = block_on(async {
                let mut lane = GpuLane::new(&gpu, plan, &CancelSwitch::default()).await.unwrap();
                lane.run(2).await.unwrap();
                lane.output().await.unwrap()
            });
            let cpu: Vec<f64> = cpu(system, case).into_iter().map(f64::from).collect();
            let Tolerance { abs, rel } = system.info().tolerance;
            let deviation = Tolerance { abs: 2.0 * abs, rel: 2.0 * rel }.compare_f32(&output, &cpu);
            assert!(deviation.pass, "{id} {wiring}: {deviation:?}");
        }
    }
}

/// A few units make short steps, of which a dispatch could hold very many: a software adapter ends a loop that has made
/// 65,535 turns without a word.
fn recurrences_of_few_units_agree_with_the_cpu_over_many_steps() {
    let _alone = alone();
    let Some(gpu) = device(GpuOptions::default()) else { return };
    for id in ["ltc", "cfc"] {
        let system = kernels::find(id).unwrap();
        for d_model in [4, 24] {
            let problem = Problem { seq_len: 3000, d_model, level: Level::Core, ..PROBLEM };
            let case = system.seeded_case(&problem, &Params::new()).unwrap();
            let output = run(system, &case, &gpu).unwrap();
            let cpu: Vec<f64> = cpu(system, case).into_iter().map(f64::from).collect();
            let Tolerance { abs, rel } = system.info().tolerance;
            let deviation = Tolerance { abs: 2.0 * abs, rel: 2.0 * rel }.compare_f32(&output, &cpu);
            assert!(deviation.pass, "{id} {d_model}: {deviation:?}");
        }
    }
}

/// Edge cases, then random shapes from a deterministic generator.
fn problems() -> Vec<Problem> {
    // Both levels of each edge shape, with the causal form alternating between them.
    let mut problems: Vec<Problem> = edge_problems()
        .chunks(4)
        .enumerate()
        .flat_map(|(shape, forms)| if shape % 2 == 0 { [forms[0], forms[3]] } else { [forms[1], forms[2]] })
        .collect();
    let mut state = 0x9e37_79b9_u64;
    let mut draw = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % n) as usize
    };
    for _ in 0..10 {
        let n_heads = [1, 2, 4][draw(3)];
        problems.push(Problem {
            batch: 1 + draw(3),
            seq_len: 1 + draw(400),
            d_model: n_heads * (1 + draw(24)),
            n_heads,
            causal: draw(2) == 0,
            level: if draw(2) == 0 { Level::Core } else { Level::Layer },
            seed: draw(1000) as u64,
            task: mixer::Task::Forward,
        });
    }
    problems
}

fn main() {
    let system = |system: &'static System| {
        Trial::test(system.info().id, move || {
            check(system);
            Ok(())
        })
    };
    let others: [(&str, fn()); 3] = [
        ("long_sequences_agree_with_the_cpu", long_sequences_agree_with_the_cpu),
        (
            "recurrences_in_short_dispatches_agree_with_the_cpu",
            recurrences_in_short_dispatches_agree_with_the_cpu,
        ),
        (
            "recurrences_of_few_units_agree_with_the_cpu_over_many_steps",
            recurrences_of_few_units_agree_with_the_cpu_over_many_steps,
        ),
    ];
    let others = others.map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    let trials = kernels::systems().map(system).chain(others).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
