//! Every system's GPU plan on a real adapter: the authors' golden vectors, and random shapes against the f64 reference
//! and the CPU kernel. One test per system: `cargo test -p compute --test gpu_parity hyena`.

#![expect(clippy::unwrap_used, reason = "a test that cannot get at its input has failed")]

mod common;

use std::sync::Arc;

use common::{PROBLEM, alone, device, edge_problems, golden_files};
use compute::gpu::{Gpu, GpuLane, GpuOptions};
use compute::{CancelSwitch, golden};
use mixer::{Case, GpuTarget, Level, Memory, Params, Plan, Problem, Serial, System, Tolerance};
use pollster::block_on;

macro_rules! parity {
    ($($test:ident $id:literal;)*) => {
        const TESTED: &[&str] = &[$($id),*];
        $(#[test] fn $test() { check($id); })*
    };
}

parity! {
    attention "attention";
    attention_naive "attention-naive";
    hyena "hyena";
    monarch_mixer "monarch-mixer";
    bigs "bigs";
    mega "mega";
    ltc "ltc";
    cfc "cfc";
    liquid_s4 "liquid-s4";
    longformer "longformer";
    bigbird "bigbird";
    reformer "reformer";
    performer "performer";
    linformer "linformer";
}

#[test]
fn every_registered_system_has_a_test_here() {
    for system in kernels::systems() {
        assert!(TESTED.contains(&system.info().id), "add a line for {}", system.info().id);
    }
}

fn check(id: &str) {
    let system = kernels::find(id).unwrap();
    let _alone = alone();
    let Some(gpu) = device(GpuOptions::default()) else { return };
    let mut failures = Vec::new();
    // Golden cases on the least that WebGPU guarantees and with the kernels of hardware, random shapes on all that the
    // adapter offers and with the kernels of either in turn.
    let least = device(GpuOptions { guaranteed_limits_only: true, ..GpuOptions::default() }).unwrap();
    goldens(system, &least, &mut failures);
    shapes(system, &gpu, &mut failures);
    for gpu in [gpu, least] {
        assert_eq!(gpu.uncaptured_errors(), [""; 0]);
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// [`run_as`] what the adapter is.
fn run(system: &dyn System, case: &Case, gpu: &Gpu) -> Result<Vec<f32>, String> {
    run_as(system, case, gpu, gpu.target().is_fallback)
}

/// The output of a second run over a poisoned output: nothing may be left over from the first. `is_fallback`: with the
/// kernels of software adapters, whatever the adapter is.
fn run_as(system: &dyn System, case: &Case, gpu: &Gpu, is_fallback: bool) -> Result<Vec<f32>, String> {
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

/// The plan as each variant of its kernels does it, by the variant's name.
fn in_all_ways(plan: Plan) -> Vec<(&'static str, Plan)> {
    let Some(choice) = plan.choices().into_iter().next() else { return vec![("", plan)] };
    let ways = choice.variants.iter().map(|variant| {
        let mut plan = plan.clone();
        plan.choose(choice.class, variant.name);
        (variant.name, plan)
    });
    ways.collect()
}

fn goldens(system: &'static dyn System, gpu: &Gpu, failures: &mut Vec<String>) {
    let id = system.info().id;
    let author = if id == "attention-naive" { "attention" } else { id };
    let mut seen = 0;
    for path in golden_files() {
        let file = golden::read(&std::fs::read(&path).unwrap()).unwrap();
        if file.system != author {
            continue;
        }
        seen += 1;
        let target = GpuTarget { is_fallback: false, ..*gpu.target() };
        let plan = system.gpu(&file.case, &target).unwrap();
        for (name, plan) in in_all_ways(plan) {
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

fn shapes(system: &'static dyn System, gpu: &Gpu, failures: &mut Vec<String>) {
    let mut tried = 0;
    for (index, problem) in problems().into_iter().enumerate() {
        let Ok(case) = system.seeded_case(&problem, &params(system.info().id, index, &problem)) else {
            continue;
        };
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
        // Each twin may be a tolerance away from the reference.
        let both = Tolerance { abs: 2.0 * tolerance.abs, rel: 2.0 * tolerance.rel };
        let deviation = both.compare_f32(&output, &cpu);
        if !deviation.pass {
            failures.push(format!("{problem:?}: against the CPU {deviation:?}"));
        }
    }
    assert!(tried >= 10, "{} accepts only {tried} of the shapes", system.info().id);
}

/// Parameters for the index-th problem: small enough that a short sequence is sparse, where the paper's are for long ones.
fn params(id: &str, index: usize, problem: &Problem) -> Params {
    let mut params = Params::new();
    let mut set = |name: &str, choices: &[usize]| params.set(name, choices[index % choices.len()]);
    match id {
        "longformer" => {
            set("window", &[8, 512, 2, 64, 30]);
            set("n_global", &[1, 0, 40]);
            if problem.causal {
                set("dilation", &[1, 3]);
            }
        }
        "linformer" => {
            set("rank", &[256, 3, 40, 1]);
            params.set("share_kv", index % 3 == 1);
            params.set("one_kv_head", index / 2 % 2 == 1);
        }
        "performer" => {
            set("nb_features", &[0, 1, 30, 140]);
            set("ortho_scaling", &[0, 1, 0]);
        }
        "bigbird" => {
            set("block_size", &[8, 64, 3, 16, 70]);
            set("num_random_blocks", &[1, 3, 0]);
        }
        "reformer" => {
            set("chunk_length", &[16, 64, 5, 32]);
            set("num_hashes", &[2, 1, 4]);
            set("chunks_after", &[0, 1]);
            set("chunks_before", &[1, 0, 3]);
            params.set("kind", if index % 5 == 4 { "local" } else { "lsh" });
        }
        "monarch-mixer" => {
            set("nblocks", &[4, 3, 1, 7]);
            set("emb_dim", &[5, 3, 9]);
            set("filter_order", &[32, 128, 5]);
            params.set("residual_long_conv", index % 3 != 2);
            if problem.level == Level::Layer {
                params.set("part", ["sequence", "block", "mlp"][index % 3]);
            }
        }
        "bigs" => {
            set("num_ssm", &[64, 7, 1]);
            set("expansion", &[3, 1]);
            params.set("gelu", ["erf", "tanh"][index % 2]);
            params.set("pre_norm", index % 3 != 2);
        }
        "mega" => {
            set("chunk_size", &[16, 128, 50, 7]);
            set("ema_projection_size", &[16, 3, 33]);
            set("truncation", &[0, 0, 5, 0, 40]);
            set("shared_representation_size", &[64, 6]);
            params.set("use_chunking", index % 5 != 4);
            params.set("attention_activation", ["softmax", "laplace", "relu2"][index % 3]);
            params.set("relative_positional_bias", ["rotary", "simple"][index % 2]);
            params.set("normalization_type", ["scalenorm", "layernorm"][index / 2 % 2]);
            params.set("normalize_before_mega", index % 4 != 3);
            params.set("core", ["attention", "ema"][index % 2]);
        }
        "liquid-s4" => {
            set("d_state", &[64, 6, 18]);
            set("liquid_degree", &[2, 3, 4]);
            let kernels =
                if problem.causal { ["auto", "none", "auto"] } else { ["polyb", "kb", "recurrence"] };
            params.set("liquid_kernel", kernels[index / 2 % 3]);
            params.set("allcombs", index % 4 != 3);
            params.set("lcontract", ["none", "tanh", "lecun"][index % 3]);
            params.set("bidirectional", !problem.causal && index.is_multiple_of(3) && index / 2 % 3 != 2);
        }
        "ltc" => {
            set("units", &[0, 300]);
            set("ode_unfolds", &[6, 1, 3]);
            params.set("mixed_memory", index % 3 == 2);
            params.set("wiring", if index % 4 == 3 { "ncp" } else { "full" });
        }
        "cfc" => {
            set("units", &[0, 0, 301]);
            set("backbone_units", &[128, 20, 7, 300]);
            set("backbone_layers", &[1, 0, 2, 3, 1]);
            params.set("mode", ["default", "no_gate", "pure"][index % 3]);
            params.set("activation", ["lecun_tanh", "silu", "relu", "tanh", "gelu"][index % 5]);
            params.set("mixed_memory", index % 4 == 2);
            params.set("wiring", if index % 4 == 3 { "ncp" } else { "full" });
        }
        _ => {}
    }
    params
}

/// Long enough for transforms beyond workgroup memory, several runs of chunks and long steps of scans, by the CPU
/// kernel, which spot checks hold to the reference.
#[test]
fn long_sequences_agree_with_the_cpu() {
    let _alone = alone();
    let Some(gpu) = device(GpuOptions::default()) else { return };
    let mut failures = Vec::new();
    for id in ["monarch-mixer", "bigs", "mega", "liquid-s4", "linformer", "performer"] {
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

fn cpu(system: &dyn System, case: Case) -> Vec<f32> {
    let mut kernel = system.cpu(&Arc::new(case), &Memory::new(4 << 30), &Serial).unwrap();
    kernel.run(&Serial).unwrap();
    kernel.output().to_vec()
}

/// A recurrence cut into dispatches of a few steps, and of a few of its sequences, goes on where it stopped.
#[test]
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
#[test]
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

/// Edges by hand, then shapes drawn by a fixed generator.
fn problems() -> Vec<Problem> {
    // Both levels of each edge shape, and in turn the causal form of one or of the other.
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
        });
    }
    problems
}
