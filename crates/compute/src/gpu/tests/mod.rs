//! Tests of the executor on a real adapter, with a plan made for them.

mod autotune;
mod faults;

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mixer::{Access, BufferId, Dispatch, Init, LaneError, Plan, Shader};
use pollster::block_on;

use super::*;
use crate::{CancelSwitch, Host};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A new device for each test, one test at a time; `None`, with a printed message, without an adapter.
fn device(options: &GpuOptions) -> Option<(MutexGuard<'static, ()>, Gpu)> {
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    match block_on(Gpu::open(&Host::native(), options)) {
        Ok(gpu) => Some((guard, gpu)),
        Err(error) => {
            // Written to stderr directly, past the test runner's capture, so that a skipped test is visible.
            writeln!(std::io::stderr(), "GPU TEST SKIPPED: {error}").ok();
            None
        }
    }
}

const ADD: Shader = Shader {
    label: "add",
    source: include_str!("add.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::ReadWrite],
};

fn dispatch(n: usize, scale: f32, bindings: [BufferId; 3]) -> Dispatch {
    Dispatch {
        shader: ADD,
        constants: vec![("SIZE", 128.0)],
        uniforms: vec![n as u32, scale.to_bits()],
        bindings: bindings.to_vec(),
        workgroups: [n.div_ceil(128) as u32, 1, 1],
        flops: 2 * n as u64,
        choice: None,
    }
}

/// out = 3a + b, with 2a computed once in the set-up and reused.
fn plan(n: usize) -> Plan {
    let mut plan = Plan::default();
    let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
    let a = plan.upload("a", &a).unwrap();
    let b = plan.buffer("b", n, Init::F32(vec![0.5; n]));
    let zero = plan.scratch("zero", n);
    let double = plan.scratch("double", n);
    let sum = plan.scratch("sum", n);
    let out = plan.scratch("out", n);
    plan.setup.push(dispatch(n, 2.0, [a, zero, double]));
    plan.run.push(dispatch(n, 1.0, [a, double, sum]));
    plan.run.push(dispatch(n, 1.0, [sum, b, out]));
    plan.output = Some(out);
    plan
}

fn expected(n: usize) -> Vec<f32> {
    (0..n).map(|i| 3.0 * i as f32 + 0.5).collect()
}

fn lane(gpu: &Gpu, plan: Plan) -> Result<GpuLane, LaneError> {
    block_on(GpuLane::new(gpu, plan, &CancelSwitch::default()))
}

#[test]
fn runs_a_plan_and_reads_all_of_it_back() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    for n in [1, 31, 33, 4096, 100_003] {
        let mut lane = lane(&gpu, plan(n)).unwrap();
        for repeats in [1, 3] {
            block_on(lane.spoil()).unwrap();
            let finished = block_on(lane.run(repeats)).unwrap();
            assert_eq!(block_on(lane.output()).unwrap(), expected(n));
            assert!(finished.checksum > 0.0);
        }
        assert!(lane.device_bytes() >= 24 * n as u64);
    }
    assert_eq!(gpu.uncaptured_errors(), [""; 0]);
}

#[test]
fn outputs_larger_than_a_piece_come_back_whole() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let n = (5 << 20) + 3;
    let mut lane = lane(&gpu, plan(n)).unwrap();
    block_on(lane.run(1)).unwrap();
    assert!(block_on(lane.output()).unwrap() == expected(n));
}

#[test]
fn the_same_shader_and_constants_compile_once() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let _first = lane(&gpu, plan(10)).unwrap();
    let _second = lane(&gpu, plan(20)).unwrap();
    assert_eq!(gpu.cache().borrow().len(), 1);
    let mut other = plan(10);
    other.run[0].constants = vec![("SIZE", 64.0)];
    let _third = lane(&gpu, other).unwrap();
    assert_eq!(gpu.cache().borrow().len(), 2);
}

/// A race compiles once for each kind of transform, not for each length.
#[test]
fn the_lengths_of_a_race_share_their_pipelines() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let problem = |seq_len| mixer::Problem {
        batch: 1,
        seq_len,
        d_model: 32,
        n_heads: 2,
        causal: true,
        level: mixer::Level::Layer,
        seed: 1,
        task: mixer::Task::Forward,
    };
    // Transforms whose size is no power of sixteen have a different first step, and small ones have no step between the
    // first and the middle one. Up to 704 positions BigBird is dense.
    for lengths in [&[160, 256], &[300, 512], &[530, 640], &[1100, 2000], &[2100, 4000], &[9000, 16_000]] {
        for system in kernels::systems() {
            let mut compiled = Vec::new();
            for &seq_len in lengths {
                let case = system.seeded_case(&problem(seq_len), &mixer::Params::new()).unwrap();
                let plan = match system.gpu(&case, gpu.target()) {
                    // L×L scores exceed a buffer. Any other refusal is a fault.
                    Err(mixer::MixerError::NeedsBuffer { .. }) => break,
                    plan => plan.unwrap(),
                };
                let _lane = lane(&gpu, plan).unwrap();
                compiled.push(gpu.cache().borrow().len());
            }
            assert!(compiled.windows(2).all(|pair| pair[0] == pair[1]), "{}: {compiled:?}", system.info().id);
        }
    }
}

#[test]
fn device_time_is_within_the_wall_clock_where_there_are_timestamps() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    if !gpu.facts().timestamps {
        writeln!(std::io::stderr(), "GPU TEST SKIPPED: no timestamp queries").ok();
        return;
    }
    let mut lane = lane(&gpu, plan(1 << 18)).unwrap();
    block_on(lane.run(1)).unwrap();
    let started = std::time::Instant::now();
    let finished = block_on(lane.run(20)).unwrap();
    let wall = started.elapsed().as_nanos() as f64;
    let device = finished.device_ns.unwrap();
    assert!((0.01 * wall..wall).contains(&device), "{device} of {wall}");
}
