//! Faults 4, 10 and 11 for every system: the guaranteed limits of WebGPU, inputs at the edge of the range of floats,
//! and a wrong sign in a shader.

#![expect(clippy::unwrap_used, reason = "a test that cannot get at its input has failed")]

mod common;

use std::sync::Arc;

use common::{PROBLEM, alone, device, edge_problems};
use compute::gpu::{Gpu, GpuLane, GpuOptions};
use compute::{CancelSwitch, CpuLane, CpuPool};
use mixer::{Access, Case, GpuTarget, LaneError, Level, MixerError, Params, Plan, Problem, System, Tensor};
use pollster::block_on;

#[test]
fn fault_04_every_system_keeps_the_guaranteed_limits_or_names_one() {
    let target = GpuTarget::WEBGPU_DEFAULTS;
    for system in kernels::systems() {
        let id = system.info().id;
        let mut planned = 0;
        for level in [Level::Core, Level::Layer] {
            for (seq_len, d_model, n_heads) in
                [(1, 32, 2), (300, 256, 1), (1000, 96, 3), (4096, 64, 4), (16_384, 64, 1), (2048, 512, 8)]
            {
                let problem = Problem { seq_len, d_model, n_heads, level, ..PROBLEM };
                let Ok(case) = system.seeded_case(&problem, &Params::new()) else { continue };
                match system.gpu(&case, &target).and_then(|plan| plan.check(&target)) {
                    Ok(()) => planned += 1,
                    Err(
                        MixerError::NeedsBuffer { .. }
                        | MixerError::NeedsLimit { .. }
                        | MixerError::OutOfMemory { .. },
                    ) => {}
                    Err(other) => unreachable!("{id}, {problem:?}: {other}"),
                }
            }
        }
        assert!(planned >= 6, "{id} plans only {planned} of 12 ordinary problems");
    }
}

#[test]
fn fault_04_naive_attention_refuses_oversized_scores() {
    let system = kernels::find("attention-naive").unwrap();
    let target = GpuTarget::WEBGPU_DEFAULTS;
    let problem = Problem { seq_len: 16_384, d_model: 16, n_heads: 4, level: Level::Core, ..PROBLEM };
    let case = system.seeded_case(&problem, &Params::new()).unwrap();
    let refused = system.gpu(&case, &target).and_then(|plan| plan.check(&target)).unwrap_err();
    assert!(matches!(refused, MixerError::NeedsBuffer { .. } | MixerError::OutOfMemory { .. }), "{refused}");
}

/// The output of one run, or the error.
fn on_gpu(gpu: &Gpu, plan: Plan) -> Result<Vec<f32>, LaneError> {
    block_on(async {
        let mut lane = GpuLane::new(gpu, plan, &CancelSwitch::default()).await?;
        lane.run(1).await?;
        lane.output().await
    })
}

fn on_cpu(system: &'static System, case: &Case) -> Result<Vec<f32>, LaneError> {
    let pool = CpuPool::new(1).unwrap();
    let mut lane = CpuLane::new(system, case.clone(), &pool, 1 << 32)?;
    lane.run(1)?;
    Ok(lane.output().to_vec())
}

/// `case` with every element of its input streams, `[batch, length, …]`, replaced. Weights are unchanged.
fn with_input(case: &Case, value: impl Fn(usize) -> f32) -> Case {
    let mut changed = case.clone();
    let mut streams = 0;
    for (name, tensor) in case.tensors.iter().filter(|(name, _)| !name.starts_with("param.")) {
        let Tensor::F32 { shape, data } = tensor else { continue };
        if shape.starts_with(&[1, LENGTH]) {
            changed.tensors.insert(name, shape, (0..data.len()).map(&value).collect());
            streams += 1;
        }
    }
    assert!(streams > 0);
    changed
}

/// No other dimension of these cases has this size.
const LENGTH: usize = 50;

/// A kind of input: its name and its value at each index.
type Input = (&'static str, fn(usize) -> f32);

/// Inputs whose outputs are as accurate as usual.
fn harmless() -> [Input; 4] {
    [
        ("zero", |_| 0.0),
        ("constant", |_| 0.5),
        ("subnormal", |i| if i % 2 == 0 { 1e-40 } else { -3e-41 }),
        ("one spike", |i| if i == 7 { 1.0 } else { 0.0 }),
    ]
}

/// Inputs that may overflow: they give numbers or an error, but never a panic, a hang or a silent NaN.
fn hostile() -> [Input; 4] {
    [
        ("NaN", |_| f32::NAN),
        ("infinite", |i| if i % 3 == 0 { f32::NEG_INFINITY } else { f32::INFINITY }),
        ("huge", |i| if i % 2 == 0 { 3e37 } else { -2e37 }),
        ("large", |i| if i % 2 == 0 { 1e4 } else { -2e4 }),
    ]
}

fn finite_or_named(what: &str, outcome: Result<Vec<f32>, LaneError>) {
    match outcome {
        Ok(output) => assert!(output.iter().all(|value| value.is_finite()), "{what}: a silent NaN"),
        // An output that is not finite, or an input refused for it.
        Err(LaneError::NotFinite { .. } | LaneError::Mixer(MixerError::NotFinite { .. })) => {}
        Err(other) => unreachable!("{what}: {other}"),
    }
}

#[test]
fn fault_10_inputs_at_the_edge_of_floats_on_the_cpu() {
    for system in kernels::systems() {
        for level in [Level::Core, Level::Layer] {
            let problem = Problem { seq_len: LENGTH, level, ..PROBLEM };
            let case = system.seeded_case(&problem, &Params::new()).unwrap();
            for (name, value) in harmless() {
                let case = with_input(&case, value);
                let want = system.reference(&case).unwrap();
                let deviation = system.info().tolerance.compare_f32(&on_cpu(system, &case).unwrap(), &want);
                assert!(deviation.pass, "{}, {level:?}, {name}: {deviation:?}", system.info().id);
            }
            for (name, value) in hostile() {
                let what = format!("{}, {level:?}, {name}", system.info().id);
                finite_or_named(&what, on_cpu(system, &with_input(&case, value)));
            }
        }
    }
}

#[test]
fn fault_10_inputs_at_the_edge_of_floats_on_the_gpu() {
    let _alone = alone();
    let Some(gpu) = device(GpuOptions::default()) else { return };
    for system in kernels::systems() {
        for level in [Level::Core, Level::Layer] {
            let problem = Problem { seq_len: LENGTH, level, ..PROBLEM };
            let case = system.seeded_case(&problem, &Params::new()).unwrap();
            for (name, value) in harmless() {
                let case = with_input(&case, value);
                let want = system.reference(&case).unwrap();
                let output = on_gpu(&gpu, system.gpu(&case, gpu.target()).unwrap()).unwrap();
                let deviation = system.info().tolerance.compare_f32(&output, &want);
                assert!(deviation.pass, "{}, {level:?}, {name}: {deviation:?}", system.info().id);
            }
            for (name, value) in hostile() {
                let what = format!("{}, {level:?}, {name}", system.info().id);
                let plan = system.gpu(&with_input(&case, value), gpu.target()).unwrap();
                finite_or_named(&what, on_gpu(&gpu, plan));
            }
        }
    }
    assert_eq!(gpu.uncaptured_errors(), [""; 0]);
}

#[test]
fn fault_10_short_and_narrow_problems_on_the_cpu() {
    for system in kernels::systems() {
        for problem in edge_problems() {
            let Ok(case) = system.seeded_case(&problem, &Params::new()) else { continue };
            let want = system.reference(&case).unwrap();
            let deviation = system.info().tolerance.compare_f32(&on_cpu(system, &case).unwrap(), &want);
            assert!(deviation.pass, "{}, {problem:?}: {deviation:?}", system.info().id);
        }
    }
}

/// `source` with the sign of every value stored into its writable float buffers flipped.
fn flip_stores(source: &str) -> String {
    let mut flipped = source.to_owned();
    for line in source.lines().filter(|line| line.contains("read_write") && line.contains("f32")) {
        let Some((declaration, _)) = line.split_once(':') else { continue };
        let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
        let Some(name) = declaration.rsplit(|letter| !is_name(letter)).next() else { continue };
        let mut rest = 0;
        while let Some(found) = flipped[rest..].find(&format!("{name}[")) {
            let start = rest + found;
            rest = start + name.len();
            let Some(end) = flipped[rest..].find(';').map(|end| rest + end) else { break };
            // Shaders are compiled in without blanks.
            let assignment = ["]=", "] ="].iter().filter_map(|sign| {
                let at = rest + flipped[rest..end].find(sign)? + sign.len();
                (!flipped[at..].starts_with('=')).then_some(at)
            });
            if let Some(value) = assignment.min() {
                flipped = format!("{}-({}){}", &flipped[..value], &flipped[value..end], &flipped[end..]);
            }
        }
    }
    flipped
}

#[test]
fn flipping_changes_stores_and_nothing_else() {
    let source = "@group(0) @binding(1) var<storage, read_write> y: array<f32>;\n    y[i] = a[i] + y[j];\n";
    assert!(flip_stores(source).ends_with("    y[i] =-( a[i] + y[j]);\n"));
    let source =
        "@group(0)@binding(1)var<storage,read_write>y:array<vec4<f32>>;\nif y[i]==c{y[b[i]]=a[i]+y[j];}\n";
    assert!(flip_stores(source).ends_with("\nif y[i]==c{y[b[i]]=-(a[i]+y[j]);}\n"));
}

#[test]
fn fault_11_a_flipped_sign_in_the_last_shader_fails_verification() {
    let _alone = alone();
    let Some(gpu) = device(GpuOptions::default()) else { return };
    for system in kernels::systems() {
        let id = system.info().id;
        let case = system.seeded_case(&PROBLEM, &Params::new()).unwrap();
        let want = system.reference(&case).unwrap();
        let mut plan = system.gpu(&case, gpu.target()).unwrap();
        let last = plan.run.last_mut().unwrap();
        let mutant = flip_stores(last.shader.source);
        assert_ne!(mutant, last.shader.source, "{id}: found no store to flip in `{}`", last.shader.label);
        last.shader.source = mutant.leak();
        let output = on_gpu(&gpu, plan).unwrap();
        assert!(!system.info().tolerance.compare_f32(&output, &want).pass, "{id} passes with a flipped sign");
    }
}

#[test]
fn fault_11_a_flipped_sign_in_any_input_is_seen_by_the_reference() {
    // Checks the test itself: with a loose tolerance, a wrong kernel could pass.
    for system in kernels::systems() {
        let case = Arc::new(system.seeded_case(&PROBLEM, &Params::new()).unwrap());
        let want = system.reference(&case).unwrap();
        let mut wrong: Vec<f32> = want.iter().map(|&value| value as f32).collect();
        let largest = (0..wrong.len()).max_by(|&a, &b| wrong[a].abs().total_cmp(&wrong[b].abs())).unwrap();
        wrong[largest] = -wrong[largest];
        assert!(!system.info().tolerance.compare_f32(&wrong, &want).pass, "{}", system.info().id);
    }
}

#[test]
fn a_plan_declares_the_buffers_that_its_shaders_bind() {
    let target = GpuTarget::WEBGPU_DEFAULTS;
    for system in kernels::systems() {
        let case = system.seeded_case(&PROBLEM, &Params::new()).unwrap();
        let plan = system.gpu(&case, &target).unwrap();
        for dispatch in plan.setup.iter().chain(&plan.run) {
            let writes = dispatch.shader.bindings.contains(&Access::ReadWrite);
            assert!(writes, "{}: `{}` writes nothing", system.info().id, dispatch.shader.label);
            assert!(dispatch.flops > 0, "{}: `{}` has no estimate", system.info().id, dispatch.shader.label);
        }
    }
}
