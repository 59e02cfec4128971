//! The machine as a race uses it: both backends, golden files, budgets, cancellation, loss and recovery.

#![expect(clippy::unwrap_used, reason = "a test that cannot get at its input has failed")]

mod common;

use common::{PROBLEM, alone, golden_files, skip};
use compute::{ComputeError, GpuChoice, Host, Machine, MachineOptions};
use mixer::{Backend, Executor as _, LaneError, LaneSpec, Level, MixerError, Params, Problem, Tensor};
use pollster::block_on;

fn machine(gpu: GpuChoice) -> Machine {
    let options = MachineOptions { threads: 2, gpu, ..MachineOptions::new(Host::native(), kernels::find) };
    block_on(Machine::new(options)).unwrap()
}

fn spec(system: &str, backend: Backend) -> LaneSpec {
    LaneSpec { system: system.to_owned(), backend, params: Params::new() }
}

#[test]
fn every_golden_file_passes_on_the_cpu() {
    let mut machine = machine(GpuChoice::Off);
    let files = golden_files();
    assert!(files.len() >= 25);
    let mut unread = Vec::new();
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        let result = match block_on(machine.verify_golden(&bytes, None, Backend::Cpu)) {
            Err(ComputeError::Lane(LaneError::Mixer(MixerError::UnknownSystem { name, .. }))) => {
                skip(&format!("{name} is not registered yet"));
                continue;
            }
            other => other.unwrap(),
        };
        assert!(result.deviation.pass, "{result:?}");
        unread.extend(result.unread.into_iter().map(|name| (path.clone(), name)));
    }
    assert!(unread.is_empty(), "{unread:?}");
}

#[test]
fn golden_files_verify_on_the_gpu() {
    let _alone = alone();
    let mut machine = machine(GpuChoice::Auto);
    if machine.gpu().is_err() {
        return skip("no GPU for golden files");
    }
    for system in kernels::systems() {
        let id = system.info().id;
        let Some(path) =
            golden_files().into_iter().find(|path| path.parent().unwrap().file_name().unwrap() == id)
        else {
            continue;
        };
        let bytes = std::fs::read(path).unwrap();
        let result = block_on(machine.verify_golden(&bytes, None, Backend::WebGpu)).unwrap();
        assert!(result.deviation.pass && result.system == id, "{result:?}");
    }
}

/// On both backends the lane is refused before anything runs, whichever tensor contains the number and at whatever
/// index.
#[test]
fn fault_10_inputs_and_weights_that_are_not_finite_are_refused() {
    let _alone = alone();
    let mut machine = machine(GpuChoice::Auto);
    let mut backends = vec![Backend::Cpu];
    if machine.gpu().is_ok() {
        backends.push(Backend::WebGpu);
    } else {
        skip("no GPU to refuse on");
    }
    let mut refused = 0;
    for system in kernels::systems() {
        for level in [Level::Core, Level::Layer] {
            let problem = Problem { seq_len: 40, d_model: 16, n_heads: 2, level, ..PROBLEM };
            let case = system.seeded_case(&problem, &Params::new()).unwrap();
            let floats: Vec<(String, Vec<usize>, Vec<f32>)> = case
                .tensors
                .iter()
                .filter_map(|(name, tensor)| match tensor {
                    Tensor::F32 { shape, data } => Some((name.to_owned(), shape.clone(), data.clone())),
                    Tensor::I32 { .. } => None,
                })
                .collect();
            for (index, (name, shape, data)) in floats.into_iter().enumerate() {
                let at = [0, data.len() / 3, data.len() - 1][index % 3];
                let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][index / 3 % 3];
                let mut data = data;
                data[at] = bad;
                let mut case = case.clone();
                case.tensors.insert(name.clone(), &shape, data);
                for &backend in &backends {
                    let error = block_on(machine.make_ready(system, case.clone(), backend)).err().unwrap();
                    let named = matches!(&error, LaneError::Mixer(MixerError::NotFinite { name: got, index, .. })
                        if *got == name && *index == at);
                    assert!(named, "{} {level:?} {name} on {backend:?}: {error}", system.info().id);
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 200, "{refused}");
}

/// Half-precision values are widened, and unread tensors are named.
#[test]
fn half_precision_is_read_and_unread_tensors_are_named() {
    let mut machine = machine(GpuChoice::Off);
    let mut verify = |name: &str| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/");
        let bytes = std::fs::read(format!("{path}{name}.safetensors")).unwrap();
        block_on(machine.verify_golden(&bytes, None, Backend::Cpu)).unwrap()
    };
    // Their outputs were computed from unrounded inputs, so the only deviation is the rounding of their tensors.
    for (name, rounding) in [("dtype-f16", 4.555e-4), ("dtype-bf16", 1.930e-3)] {
        let result = verify(name);
        assert!((result.deviation.max_abs - rounding).abs() < 1e-6 && result.unread.is_empty(), "{result:?}");
    }
    let result = verify("mask-unread");
    assert!(!result.deviation.pass && result.unread == ["key_padding_mask"], "{result:?}");
}

#[test]
fn another_system_fails_a_golden_file_or_refuses_it() {
    let mut machine = machine(GpuChoice::Off);
    let hyena = kernels::find("hyena").unwrap();
    for path in golden_files().iter().filter(|path| path.to_string_lossy().contains("/attention/")) {
        let bytes = std::fs::read(path).unwrap();
        let result = block_on(machine.verify_golden(&bytes, Some(hyena), Backend::Cpu));
        assert!(result.map_or(true, |result| !result.deviation.pass));
    }
}

#[test]
fn a_damaged_golden_file_is_refused_with_a_code() {
    let mut machine = machine(GpuChoice::Off);
    let error = block_on(machine.verify_golden(b"not a golden file", None, Backend::Cpu)).unwrap_err();
    assert!(matches!(error, ComputeError::Golden(_)));
    assert!(error.code().starts_with("golden-"));
}

/// Verify, prepare, run, check: the steps of a race for each lane.
fn race_once(machine: &mut Machine, spec: &LaneSpec, problem: &Problem) {
    let small = Problem { seq_len: 160, ..*problem };
    let verified = block_on(machine.verify(spec, &small)).unwrap();
    assert!(verified.deviation.pass && verified.seq_len == 160, "{spec:?}: {verified:?}");
    let (mut lane, prepared) = block_on(machine.prepare(spec, problem)).unwrap();
    assert!(prepared.peak_bytes > 0);
    let first = block_on(machine.run(&mut lane, 1)).unwrap();
    block_on(machine.spoil(&mut lane)).unwrap();
    let second = block_on(machine.run(&mut lane, 3)).unwrap();
    assert_eq!(first.checksum.to_bits(), second.checksum.to_bits(), "{spec:?}: {first:?} {second:?}");
    let checked = block_on(machine.check(&mut lane)).unwrap();
    // For some systems, late rows are too expensive for the reference; the length states how far rows were compared.
    assert!(
        checked.deviation.pass && (1..=problem.seq_len).contains(&checked.seq_len),
        "{spec:?}: {checked:?}"
    );
    assert!(machine.peak_bytes(&lane) >= prepared.peak_bytes);
    block_on(machine.breathe());
}

#[test]
fn every_system_races_on_the_cpu() {
    let mut machine = machine(GpuChoice::Off);
    for system in kernels::systems() {
        for level in [Level::Core, Level::Layer] {
            let problem = Problem { seq_len: 700, d_model: 64, n_heads: 4, level, ..PROBLEM };
            race_once(&mut machine, &spec(system.info().id, Backend::Cpu), &problem);
        }
    }
}

#[test]
fn every_system_races_on_the_gpu() {
    let _alone = alone();
    let mut machine = machine(GpuChoice::Auto);
    if machine.gpu().is_err() {
        return skip("no GPU to race on");
    }
    for system in kernels::systems() {
        let id = system.info().id;
        for level in [Level::Core, Level::Layer] {
            let problem = Problem { seq_len: 700, d_model: 64, n_heads: 4, level, ..PROBLEM };
            race_once(&mut machine, &spec(id, Backend::WebGpu), &problem);
        }
    }
    assert_eq!(machine.gpu().unwrap().uncaptured_errors(), [""; 0]);
}

#[test]
fn lanes_that_are_ready_together_share_one_budget() {
    let options = MachineOptions {
        threads: 1,
        gpu: GpuChoice::Off,
        cpu_memory_bytes: Some(8 << 20),
        ..MachineOptions::new(Host::native(), kernels::find)
    };
    let mut machine = block_on(Machine::new(options)).unwrap();
    assert_eq!(machine.memory_limit_bytes(Backend::Cpu), 8 << 20);
    let attention = spec("attention", Backend::Cpu);
    let problem = Problem { seq_len: 4096, d_model: 64, n_heads: 4, level: Level::Core, ..PROBLEM };
    let (first, _) = block_on(machine.prepare(&attention, &problem)).unwrap();
    let refused = block_on(machine.prepare(&attention, &problem)).err();
    assert!(
        matches!(refused, Some(LaneError::Mixer(MixerError::OutOfMemory { limit_bytes, .. })) if limit_bytes < 8 << 20)
    );
    drop(first);
    assert!(block_on(machine.prepare(&attention, &problem)).is_ok());
}

#[test]
fn a_gpu_lane_too_large_for_the_host_is_refused_early() {
    let _alone = alone();
    let options = MachineOptions {
        cpu_memory_bytes: Some(1 << 20),
        ..MachineOptions::new(Host::native(), kernels::find)
    };
    let mut machine = block_on(Machine::new(options)).unwrap();
    if machine.gpu().is_err() {
        return skip("no GPU to refuse an input");
    }
    let problem = Problem { seq_len: 1 << 20, d_model: 64, ..PROBLEM };
    let refused = block_on(machine.prepare(&spec("attention", Backend::WebGpu), &problem)).err();
    assert!(
        matches!(refused, Some(LaneError::Mixer(MixerError::OutOfMemory { limit_bytes, .. })) if limit_bytes == 1 << 20)
    );
}

/// Hyena's core has three streams, and filters of their length in addition.
#[test]
fn core_filters_count_towards_the_upload() {
    let _alone = alone();
    let problem = Problem { seq_len: 1024, d_model: 64, level: Level::Core, ..PROBLEM };
    let stream: u64 = 4 * 1024 * 64;
    for (streams, fits) in [(7, false), (9, true)] {
        let options = MachineOptions {
            cpu_memory_bytes: Some(streams * stream),
            ..MachineOptions::new(Host::native(), kernels::find)
        };
        let mut machine = block_on(Machine::new(options)).unwrap();
        if machine.gpu().is_err() {
            return skip("no GPU to send an input to");
        }
        let outcome = block_on(machine.prepare(&spec("hyena", Backend::WebGpu), &problem)).map(|_| ());
        let refused = matches!(
            &outcome,
            Err(LaneError::Mixer(MixerError::OutOfMemory { needed_bytes, .. })) if *needed_bytes >= 8 * stream
        );
        assert_eq!((refused, outcome.is_ok()), (!fits, fits), "{streams} streams: {outcome:?}");
    }
}

#[test]
fn what_does_not_exist_is_refused_by_name() {
    let mut machine = machine(GpuChoice::Off);
    let refused = block_on(machine.prepare(&spec("constructor", Backend::Cpu), &PROBLEM)).err();
    assert!(matches!(refused, Some(LaneError::Mixer(MixerError::UnknownSystem { .. }))));
    let refused = block_on(machine.verify(&spec("attention", Backend::WebGpu), &PROBLEM)).err();
    assert!(matches!(refused, Some(LaneError::NoBackend { backend: "webgpu", .. })));
    assert!(machine.facts().gpu_missing.unwrap().contains("turned off"));
}

#[test]
fn fault_10_an_empty_sequence_is_refused_on_both_backends() {
    let _alone = alone();
    let mut machine = machine(GpuChoice::Auto);
    let has_gpu = machine.gpu().is_ok();
    for system in kernels::systems() {
        for backend in [Backend::Cpu, Backend::WebGpu] {
            let empty = Problem { seq_len: 0, ..PROBLEM };
            match block_on(machine.prepare(&spec(system.info().id, backend), &empty)).err() {
                Some(LaneError::Mixer(MixerError::InvalidField { field, .. })) => {
                    assert_eq!(field, "lengths");
                }
                Some(LaneError::NoBackend { .. }) if backend == Backend::WebGpu && !has_gpu => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn fault_17_a_cancelled_machine_does_nothing_until_the_next_race() {
    let mut machine = machine(GpuChoice::Off);
    let attention = spec("attention", Backend::Cpu);
    let (mut lane, _) = block_on(machine.prepare(&attention, &PROBLEM)).unwrap();
    machine.cancel_switch().cancel();
    assert_eq!(block_on(machine.run(&mut lane, 1)), Err(LaneError::Cancelled));
    assert_eq!(block_on(machine.prepare(&attention, &PROBLEM)).err(), Some(LaneError::Cancelled));
    block_on(machine.begin());
    assert!(block_on(machine.run(&mut lane, 1)).is_ok());
}

#[test]
fn fault_08_a_lost_device_is_replaced_once_at_the_next_race() {
    let _alone = alone();
    let mut machine = machine(GpuChoice::Auto);
    if machine.gpu().is_err() {
        return skip("no GPU to lose");
    }
    let lane = spec("attention", Backend::WebGpu);
    machine.gpu().unwrap().lose();
    for _ in 0..2 {
        let outcome = block_on(machine.prepare(&lane, &PROBLEM)).err();
        assert!(matches!(outcome, Some(LaneError::DeviceLost { .. })), "{outcome:?}");
    }
    // CPU lanes still run.
    assert!(block_on(machine.prepare(&spec("attention", Backend::Cpu), &PROBLEM)).is_ok());
    block_on(machine.begin());
    assert!(machine.gpu().is_ok() && machine.facts().gpu.is_some());
    machine.gpu().unwrap().lose();
    block_on(machine.begin());
    let outcome = block_on(machine.prepare(&lane, &PROBLEM)).err();
    assert!(
        matches!(&outcome, Some(LaneError::NoBackend { reason, .. }) if reason.english.contains("lost twice")),
        "{outcome:?}"
    );
    assert!(machine.facts().gpu.is_none());
    assert_eq!(machine.memory_limit_bytes(Backend::WebGpu), 0);
}

#[test]
fn the_environment_lists_the_backends() {
    let _alone = alone();
    let environment = machine(GpuChoice::Auto).facts();
    assert_eq!(environment.threads, 2);
    assert!(environment.cores >= 1 && environment.cpu_memory_bytes > 0 && !environment.simd.is_empty());
    assert_ne!(environment.gpu.is_some(), environment.gpu_missing.is_some());
}

/// Performer's rows depend on all keys, so at the greatest length its reference needs many times its budget.
#[test]
fn fault_17_cancel_ends_a_long_check() {
    let mut machine = machine(GpuChoice::Off);
    let problem = Problem { seq_len: 65_536, d_model: 64, n_heads: 4, level: Level::Layer, ..PROBLEM };
    let (mut lane, _) = block_on(machine.prepare(&spec("performer", Backend::Cpu), &problem)).unwrap();
    block_on(machine.run(&mut lane, 1)).unwrap();
    let switch = machine.cancel_switch();
    let cancelled_at = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        switch.cancel();
        std::time::Instant::now()
    });
    let outcome = block_on(machine.check(&mut lane));
    let ended = std::time::Instant::now();
    assert_eq!(outcome, Err(LaneError::Cancelled));
    assert!(ended.duration_since(cancelled_at.join().unwrap()) < std::time::Duration::from_millis(200));
}
