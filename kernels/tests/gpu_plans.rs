//! Every system's GPU plan without a GPU: its WGSL is parsed and validated, and the plan's bindings, constants and
//! uniforms are compared with the shader's declarations.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot get at its input has failed")]

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use mixer::{
    Access, BufferId, Dispatch, Generate, GpuTarget, Level, MixerError, Params, Plan, Problem, Shader, System,
};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Lengths around tiles and transforms, and widths that need padding.
fn problems() -> Vec<Problem> {
    let mut problems = Vec::new();
    for level in [Level::Core, Level::Layer] {
        for (batch, seq_len, d_model, n_heads) in
            [(1, 1, 1, 1), (2, 7, 10, 2), (1, 64, 32, 2), (3, 130, 9, 3), (1, 2048, 64, 1), (1, 5000, 320, 1)]
        {
            for causal in [false, true] {
                problems.push(Problem {
                    batch,
                    seq_len,
                    d_model,
                    n_heads,
                    causal,
                    level,
                    seed: 1,
                    task: mixer::Task::Forward,
                });
            }
        }
    }
    problems
}

/// A module with the size of its uniform block in words, its override names, and its storage bindings.
struct Declared {
    uniform_words: usize,
    overrides: HashSet<String>,
    storage: Vec<(u32, Access)>,
}

fn declared(shader: &Shader) -> Declared {
    let module = naga::front::wgsl::parse_str(shader.source)
        .unwrap_or_else(|error| panic!("{}: {}", shader.label, error.emit_to_string(shader.source)));
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}: {}", shader.label, error.emit_to_string(shader.source)));
    assert!(module.entry_points.iter().any(|entry| entry.name == shader.entry), "{}", shader.label);
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let mut declared = Declared {
        uniform_words: 0,
        overrides: module.overrides.iter().filter_map(|(_, item)| item.name.clone()).collect(),
        storage: Vec::new(),
    };
    for (_, variable) in module.global_variables.iter() {
        let Some(binding) = &variable.binding else { continue };
        assert_eq!(binding.group, 0, "{}", shader.label);
        match variable.space {
            naga::AddressSpace::Uniform => {
                assert_eq!(binding.binding, 0, "{}", shader.label);
                declared.uniform_words = layouter[variable.ty].size as usize / 4;
            }
            naga::AddressSpace::Storage { access } => {
                let writes = access.contains(naga::StorageAccess::STORE);
                let access = if writes { Access::ReadWrite } else { Access::Read };
                declared.storage.push((binding.binding, access));
            }
            other => panic!("{}: {other:?} is not a plan's binding", shader.label),
        }
    }
    declared.storage.sort_unstable_by_key(|(binding, _)| *binding);
    let workgroup: u32 = module
        .global_variables
        .iter()
        .filter(|(_, variable)| variable.space == naga::AddressSpace::WorkGroup)
        .map(|(_, variable)| layouter[variable.ty].size)
        .sum();
    assert!(workgroup <= GpuTarget::WEBGPU_DEFAULTS.max_workgroup_storage_bytes, "{}", shader.label);
    declared
}

fn check(what: &str, plan: &Plan, dispatch: &Dispatch, declared: &Declared) {
    let label = format!("{what}: {}", dispatch.shader.label);
    let bindings: Vec<(u32, Access)> = (1..).zip(dispatch.shader.bindings.iter().copied()).collect();
    assert_eq!(bindings, declared.storage, "{label}: bindings");
    assert_eq!(dispatch.bindings.len(), bindings.len(), "{label}: buffers");
    for (name, value) in &dispatch.constants {
        assert!(declared.overrides.contains(*name), "{label}: no override {name}");
        assert!(value.is_finite());
    }
    // The size of a uniform struct with nested structs is a multiple of 16 bytes.
    assert_eq!(
        dispatch.uniforms.len().next_multiple_of(4),
        declared.uniform_words.next_multiple_of(4),
        "{label}: uniform words"
    );
    assert!(dispatch.workgroups.iter().all(|&count| count > 0), "{label}: an empty grid");
    let written: Vec<BufferId> = dispatch
        .shader
        .bindings
        .iter()
        .zip(&dispatch.bindings)
        .filter(|(access, _)| **access == Access::ReadWrite)
        .map(|(_, buffer)| *buffer)
        .collect();
    for (index, buffer) in dispatch.bindings.iter().enumerate() {
        assert!(plan.buffers[buffer.0].words > 0, "{label}: binding {} is empty", index + 1);
    }
    for buffer in written {
        let uses = dispatch.bindings.iter().filter(|&&other| other == buffer).count();
        assert_eq!(uses, 1, "{label}: writes buffer `{}` under two bindings", plan.buffers[buffer.0].label);
    }
}

/// A dispatch with each of its variants.
fn in_all_ways(dispatch: &Dispatch) -> Vec<Dispatch> {
    let Some(choice) = &dispatch.choice else { return vec![dispatch.clone()] };
    let first = &choice.variants[0];
    assert_eq!(
        (first.shader, &first.constants),
        (dispatch.shader, &dispatch.constants),
        "the first is its own"
    );
    choice
        .variants
        .iter()
        .map(|variant| Dispatch {
            shader: variant.shader,
            constants: variant.constants.clone(),
            ..dispatch.clone()
        })
        .collect()
}

#[test]
fn every_plan_is_valid_and_matches_its_shaders() {
    let mut cache = HashMap::new();
    let mut checked = 0;
    // As for software adapters: short dispatches, and their own kernels.
    let short = GpuTarget { max_dispatch_flops: 1 << 25, is_fallback: true, ..GpuTarget::WEBGPU_DEFAULTS };
    for system in kernels::systems() {
        for problem in problems() {
            let what = format!("{} {problem:?}", system.info().id);
            let case = match system.seeded_case(&problem, &Params::new()) {
                Err(MixerError::Unsupported { .. } | MixerError::InvalidField { .. }) => continue,
                case => case.unwrap(),
            };
            for target in [GpuTarget::WEBGPU_DEFAULTS, short] {
                let plan = match system.gpu(&case, &target) {
                    Err(
                        MixerError::Unsupported { .. }
                        | MixerError::NeedsBuffer { .. }
                        | MixerError::OutOfMemory { .. },
                    ) => continue,
                    plan => plan.unwrap_or_else(|error| panic!("{what}: {error}")),
                };
                checked += check_all(&what, &plan, &target, &mut cache);
            }
        }
    }
    assert!(checked > 0);
}

/// Checks every dispatch of a plan and returns their number.
fn check_all(
    what: &str,
    plan: &Plan,
    target: &GpuTarget,
    cache: &mut HashMap<&'static str, Declared>,
) -> usize {
    plan.check(target).unwrap();
    let output = plan.output.unwrap();
    assert!(plan.buffers[output.0].words > 0);
    let mut checked = 0;
    for dispatch in plan.setup.iter().chain(&plan.run).flat_map(in_all_ways) {
        let declared = cache.entry(dispatch.shader.source).or_insert_with(|| declared(&dispatch.shader));
        check(what, plan, &dispatch, declared);
        assert!(
            dispatch.flops <= 2 * target.max_dispatch_flops,
            "{what}: {} takes {} operations at once",
            dispatch.shader.label,
            dispatch.flops
        );
        checked += 1;
    }
    checked
}

#[test]
fn every_plan_of_decoding_is_valid_and_its_sections_cover_it() {
    let mut cache = HashMap::new();
    let mut checked = 0;
    let target = GpuTarget { is_fallback: true, ..GpuTarget::WEBGPU_DEFAULTS };
    let decodes = |system: &&System| system.decode.as_ref().is_ok_and(|decode| decode.gpu.is_some());
    for system in kernels::systems().filter(decodes) {
        for problem in problems().into_iter().filter(|problem| problem.causal && problem.seq_len > 1) {
            let what = format!("{} {problem:?}", system.info().id);
            let case = match system.seeded_case(&problem, &Params::new()) {
                Err(MixerError::Unsupported { .. } | MixerError::InvalidField { .. }) => continue,
                case => case.unwrap(),
            };
            for context in [1, problem.seq_len / 2, problem.seq_len - 1] {
                let generate = Generate { context: context.max(1), fed: true };
                let decoding = system.gpu_decoder(&case, generate, &target).unwrap();
                checked += check_all(&what, &decoding.plan, &target, &mut cache);
                let sections =
                    [&decoding.fill, &decoding.prefill, &decoding.rewind, &decoding.step].map(Range::len);
                assert_eq!(sections.iter().sum::<usize>(), decoding.plan.run.len(), "{what}");
                assert!(decoding.state_bytes() > 0 && decoding.prompt_output.is_some(), "{what}");
            }
        }
    }
    assert!(checked > 0);
}
