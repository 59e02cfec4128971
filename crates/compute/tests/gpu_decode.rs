//! Plans of decoding on a real adapter: golden files token by token, and every system's parameters in turn.

#![expect(clippy::unwrap_used, reason = "a test that cannot get at its input has failed")]

mod common;

use common::{PROBLEM, alone, golden_files, skip};
use compute::{ComputeError, GpuChoice, Host, Machine, MachineOptions, golden};
use mixer::{Backend, Executor, LaneError, LaneSpec, Level, MixerError, Problem, System, Task};
use pollster::block_on;

fn machine() -> Option<Machine> {
    let options =
        MachineOptions { gpu: GpuChoice::Auto, ..MachineOptions::new(Host::native(), kernels::find) };
    let machine = block_on(Machine::new(options)).unwrap();
    let missing = machine.gpu().err();
    match missing {
        None => Some(machine),
        Some(error) => {
            skip(&error.to_string());
            None
        }
    }
}

fn decodes(system: &&System) -> bool {
    system.decode.as_ref().is_ok_and(|decode| decode.gpu.is_some())
}

/// Whether a form does not decode on a GPU.
fn is_refused(error: &LaneError) -> bool {
    match error {
        LaneError::Mixer(MixerError::NoDecode { .. } | MixerError::Unsupported { .. }) => true,
        // A file may have outputs for the first positions only.
        LaneError::Mixer(MixerError::InvalidField { field, .. }) => field == "l_max",
        _ => false,
    }
}

#[test]
fn golden_files_decode_token_by_token() {
    let _alone = alone();
    let Some(mut machine) = machine() else { return };
    for system in kernels::systems().filter(decodes) {
        let id = system.info().id;
        let author = kernels::trials_of(id).and_then(|trials| trials.golden).unwrap_or(id);
        let mut decoded = 0;
        for path in golden_files() {
            let bytes = std::fs::read(&path).unwrap();
            if golden::read(&bytes).unwrap().system != author {
                continue;
            }
            match block_on(machine.verify_golden_decode(&bytes, Some(system), Backend::WebGpu)) {
                Err(ComputeError::Lane(error)) if is_refused(&error) => {}
                result => {
                    let result = result.unwrap();
                    assert!(result.deviation.pass, "{id}: {result:?}");
                    decoded += 1;
                }
            }
        }
        assert!(decoded > 0, "{id}");
    }
}

#[test]
fn every_parameter_decodes() {
    let _alone = alone();
    let Some(mut machine) = machine() else { return };
    for system in kernels::systems().filter(decodes) {
        let id = system.info().id;
        let trials = kernels::trials_of(id).unwrap();
        let mut decoded = 0;
        for index in 0..24 {
            let problem = Problem {
                batch: 1 + index % 3,
                seq_len: [37, 64, 150][index / 2 % 3],
                d_model: [16, 24][index / 4 % 2],
                n_heads: 2,
                causal: true,
                level: if index / 3 % 2 == 0 { Level::Layer } else { Level::Core },
                task: Task::Decode { tokens: 30 },
                ..PROBLEM
            };
            let params = (trials.params)(index, &problem);
            // Some forms are not causal.
            if system.seeded_case(&problem.whole(), &params).is_err() {
                continue;
            }
            let spec = LaneSpec { system: id.to_owned(), backend: Backend::WebGpu, params };
            let what = format!("{id} {:?} {problem:?}", spec.params);
            match block_on(machine.verify(&spec, &problem)) {
                Err(error) if is_refused(&error) => continue,
                verified => {
                    let deviation = verified.unwrap().deviation;
                    assert!(deviation.pass, "{what}: {deviation:?}");
                }
            }
            // The lane fills its state without answers, and each run must repeat the first one's.
            let (mut lane, _) = block_on(machine.prepare(&spec, &problem)).unwrap();
            block_on(machine.run(&mut lane, 45)).unwrap();
            let deviation = block_on(machine.check(&mut lane)).unwrap().deviation;
            assert!(deviation.pass, "{what}: {deviation:?}");
            decoded += 1;
        }
        assert!(decoded > 0, "{id}");
    }
}
