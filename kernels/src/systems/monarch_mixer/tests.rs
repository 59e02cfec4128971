use algebra::{Algebra, Exact};
use std::sync::Arc;

use mixer::{Case, Level, Memory, MixerError, Params, Problem, Serial, Tensor};
use proptest::prelude::*;

use super::*;
use crate::testing::{self, PROBLEM, edge_problems};

fn small() -> Params {
    let mut params = Params::new();
    params.set("filter_order", 16_usize);
    params
}

fn part(part: &str) -> Params {
    let mut params = small();
    params.set("part", part);
    params
}

#[test]
fn golden_parity() {
    testing::golden_parity(&MONARCH_MIXER, "monarch-mixer");
}

/// Both methods, with and without the second convolution.
fn decoded(_: &Problem) -> Vec<Params> {
    let all = Method::CHOICES.iter().flat_map(|method| [true, false].map(|residual| (*method, residual)));
    let params = all.map(|(method, residual)| {
        let mut params = small();
        params.set("residual_long_conv", residual);
        params.set(Method::PARAM, method);
        params
    });
    params.collect()
}

testing::decode::decode_battery!(MONARCH_MIXER, "monarch-mixer", decoded);

#[test]
fn the_mlp_decodes_alone_and_in_a_block() {
    let layers = |problem: &Problem| match problem.level {
        Level::Core => Vec::new(),
        Level::Layer => vec![part("block"), part("mlp")],
    };
    testing::decode::agrees_with_reference(&MONARCH_MIXER, layers);
    testing::decode::states_its_memory(&MONARCH_MIXER, layers);
}

/// A race of decoding checks generated tokens, however long their context is.
#[test]
fn generated_rows_are_checked_behind_a_long_context() {
    testing::checks_late_rows(&MONARCH_MIXER, &small());
}

#[test]
fn the_bidirectional_form_does_not_decode() {
    let problem = Problem { causal: false, ..PROBLEM };
    let case = MONARCH_MIXER.seeded_case(&problem, &small()).unwrap();
    let refused = MONARCH_MIXER.token_inputs(&case);
    assert!(matches!(refused, Err(MixerError::NoDecode { why: mixer::NoDecode::NotCausal, .. })));
}

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&MONARCH_MIXER, "monarch-mixer");
}

/// The filters in the golden files equal those computed from the parameters.
#[test]
fn the_filters_equal_the_authors_filters() {
    let mut checked = 0;
    for golden in testing::goldens("monarch-mixer") {
        let Spec::Sequence(spec) = Spec::read(&golden.case).unwrap() else { continue };
        let Some(layer) = spec.layer else { continue };
        let mut a = Exact::default();
        let layer = model::Layer::read(&mut a, &spec, &layer.filter, &golden.case.tensors).unwrap();
        let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
        for (set, suffix) in layer.sets.iter().zip(["", "2"]) {
            for (network, name) in set.networks.iter().zip(["", "_rev"]) {
                let Some(Tensor::F32 { data, .. }) = golden.case.tensors.get(&format!("k{suffix}{name}"))
                else {
                    continue;
                };
                let hidden = set.hidden(&mut a, network, 0..length);
                let taps = set.taps(&mut a, network, &hidden, 0..length, 0..width);
                for (got, want) in a.transpose(&taps).to_vec().iter().zip(data) {
                    let want = f64::from(*want);
                    assert!((got - want).abs() <= 1e-6 * (1.0 + want.abs()), "{}", golden.name);
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 0);
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    for problem in edge_problems() {
        testing::agrees_with_reference(&MONARCH_MIXER, &problem, &small());
        if problem.level == Level::Layer {
            let mut params = part("block");
            params.set("residual_long_conv", false);
            testing::agrees_with_reference(&MONARCH_MIXER, &problem, &params);
            testing::agrees_with_reference(&MONARCH_MIXER, &problem, &part("mlp"));
        }
    }
}

#[test]
fn sequences_are_independent() {
    testing::batch_independent(&MONARCH_MIXER, &PROBLEM, &["x"]);
    for causal in [false, true] {
        let problem = Problem { level: Level::Core, causal, ..PROBLEM };
        testing::batch_independent(&MONARCH_MIXER, &problem, &["x", "u"]);
    }
}

#[test]
fn stated_memory_equals_allocated_memory() {
    for level in [Level::Core, Level::Layer] {
        for causal in [false, true] {
            for seq_len in [64, 1000] {
                let problem = Problem { seq_len, level, causal, ..PROBLEM };
                testing::truthful_memory(&MONARCH_MIXER, &problem, 0.001);
            }
        }
    }
    testing::refuses_what_does_not_fit(&MONARCH_MIXER, &PROBLEM);
}

/// The stated memory of the other parts is exact too.
#[test]
fn stated_memory_of_every_golden_part_is_exact() {
    for golden in testing::goldens("monarch-mixer") {
        let cost = cost::cost(&Spec::read(&golden.case).unwrap());
        let case = golden.case.clone();
        let input: u64 = case.tensors.bytes();
        let not_read: u64 = ["y", "k", "k_rev", "k2", "k2_rev"]
            .iter()
            .filter(|name| **name == "y" || case.level == Level::Layer)
            .filter_map(|name| case.tensors.get(name))
            .map(|tensor| 4 * tensor.shape().iter().product::<usize>() as u64)
            .sum();
        let memory = Memory::new(testing::GIB);
        let mut kernel = MONARCH_MIXER.cpu(&Arc::new(case), &memory, &Serial).unwrap();
        kernel.run(&Serial).unwrap();
        assert_eq!(cost.peak_bytes, memory.peak_bytes() + input - not_read, "{}", golden.name);
    }
}

/// All operations but the convolutions are counted exactly. Convolutions are counted as direct sums, since the
/// reference uses no transform.
#[test]
fn counted_operations_equal_the_closed_form() {
    let check = |name: &str, case: &Case| {
        let count = testing::operations(&MONARCH_MIXER, case);
        let (flops, setup) = match Spec::read(case).unwrap() {
            Spec::Sequence(spec) => {
                let length = spec.dims.seq_len as u64;
                let pairs = if spec.bidirectional { 2 * length * length } else { length * (length + 1) };
                let channels = (spec.dims.batch * spec.convolutions() * spec.dims.d_model) as u64;
                (cost::other_flops(&spec) + channels * (pairs + 2 * length), cost::filter_flops(&spec).get())
            }
            Spec::Mlp(spec) => (cost::mlp_flops(&spec), 0),
            Spec::BlockDiagonal(spec) => (spec.rows as u64 * spec.shape.flops(), 0),
            Spec::Monarch(spec) => (cost::monarch_flops(&spec), 0),
        };
        assert_eq!((count.flops, count.setup_flops), (flops.get(), setup), "{name}");
    };
    for golden in testing::goldens("monarch-mixer") {
        check(&golden.name, &golden.case);
    }
    for problem in edge_problems() {
        let case = MONARCH_MIXER.seeded_case(&problem, &small()).unwrap();
        check(&format!("{problem:?}"), &case);
    }
}

#[test]
fn operations_grow_almost_linearly() {
    let at = |seq_len| {
        let problem = Problem { seq_len, d_model: 256, causal: false, ..PROBLEM };
        MONARCH_MIXER.cost(&problem, &Params::new()).unwrap().flops as f64
    };
    let exponent = (at(65_536) / at(4096)).log2() / 4.0;
    assert!((1.0..1.1).contains(&exponent), "{exponent}");
}

#[test]
fn spot_rows_agree_at_length_20_000() {
    for (level, causal) in
        [(Level::Core, true), (Level::Core, false), (Level::Layer, true), (Level::Layer, false)]
    {
        let problem = Problem { seq_len: 20_000, d_model: 12, level, causal, ..PROBLEM };
        let case = MONARCH_MIXER.seeded_case(&problem, &small()).unwrap();
        testing::passes_its_spot_check(&MONARCH_MIXER, &case, testing::DRAW);
    }
}

/// At core level y is linear in v without the residual, and in v and u together with it.
#[test]
fn the_core_is_linear_in_its_values() {
    let problem = Problem { level: Level::Core, causal: false, seq_len: 90, ..PROBLEM };
    let case = MONARCH_MIXER.seeded_case(&problem, &Params::new()).unwrap();
    let mut doubled = case.clone();
    for (name, first) in [("x", 64), ("u", 0)] {
        let Some(Tensor::F32 { shape, mut data }) = case.tensors.get(name).cloned() else { panic!() };
        for row in data.chunks_exact_mut(shape[2]) {
            row[first..].iter_mut().for_each(|value| *value *= 2.0);
        }
        doubled.tensors.insert(name, &shape, data);
    }
    let (once, twice) =
        (testing::cpu(&MONARCH_MIXER, &case, &Serial), testing::cpu(&MONARCH_MIXER, &doubled, &Serial));
    assert!(once.iter().zip(&twice).all(|(once, twice)| 2.0 * once == *twice));
}

/// The bidirectional mixer depends on the future: the last input reaches the first output.
#[test]
fn the_bidirectional_mixer_looks_ahead() {
    let problem = Problem { causal: false, ..PROBLEM };
    let case = MONARCH_MIXER.seeded_case(&problem, &Params::new()).unwrap();
    let mut changed = case.clone();
    let Some(Tensor::F32 { shape, mut data }) = case.tensors.get("x").cloned() else { panic!() };
    data[63 * 32..].iter_mut().for_each(|value| *value += 1.0);
    changed.tensors.insert("x", &shape, data);
    let (before, after) =
        (testing::cpu(&MONARCH_MIXER, &case, &Serial), testing::cpu(&MONARCH_MIXER, &changed, &Serial));
    assert!(before[..32].iter().zip(&after).any(|(a, b)| (a - b).abs() > 1e-3));
}

/// The Monarch DFT of the golden file equals the DFT.
#[test]
fn a_monarch_matrix_can_be_a_fourier_transform() {
    let golden =
        testing::goldens("monarch-mixer").into_iter().find(|golden| golden.name.contains("dft")).unwrap();
    let y = testing::cpu(&MONARCH_MIXER, &golden.case, &Serial);
    let x = golden.case.tensors.floats("x", &[8, 64]).unwrap();
    for frequency in 0..64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (t, &x) in x[..64].iter().enumerate() {
            let angle = -std::f64::consts::TAU * (frequency * t % 64) as f64 / 64.0;
            re += f64::from(x) * angle.cos();
            im += f64::from(x) * angle.sin();
        }
        assert!(
            (f64::from(y[2 * frequency]) - re).abs() < 1e-4
                && (f64::from(y[2 * frequency + 1]) - im).abs() < 1e-4
        );
    }
}

#[test]
fn invalid_parameters_are_errors_that_name_the_field() {
    let core = Problem { level: Level::Core, ..PROBLEM };
    for (problem, params, name) in [(core, part("mlp"), "part"), (core, part("block"), "part")] {
        let error = MONARCH_MIXER.seeded_case(&problem, &params).unwrap_err();
        assert!(matches!(error, MixerError::InvalidField { field, .. } if field == name));
    }
    let mut params = Params::new();
    params.set("emb_dim", 4_usize);
    let error = MONARCH_MIXER.seeded_case(&PROBLEM, &params).unwrap_err();
    assert!(matches!(error, MixerError::InvalidField { field, .. } if field == "emb_dim"));
    let mut case = MONARCH_MIXER.seeded_case(&PROBLEM, &Params::new()).unwrap();
    case.config.set("l_max", 63_usize);
    assert!(matches!(Spec::read(&case), Err(MixerError::InvalidField { field, .. }) if field == "length"));
    let mut golden =
        testing::goldens("monarch-mixer").into_iter().find(|golden| golden.name.contains("dft")).unwrap();
    golden.case.config.set("m", 63_usize);
    assert!(matches!(Spec::read(&golden.case), Err(MixerError::InvalidField { field, .. }) if field == "m"));
}

/// Zeros give zeros. A NaN reaches every output.
#[test]
fn fault_10_zero_and_nan_inputs() {
    let problem = Problem { level: Level::Core, causal: false, ..PROBLEM };
    let mut case = MONARCH_MIXER.seeded_case(&problem, &Params::new()).unwrap();
    for (value, expected) in [(0.0, 0.0_f32), (f32::NAN, f32::NAN)] {
        case.tensors.insert("x", &[1, 64, 96], vec![value; 64 * 96]);
        case.tensors.insert("u", &[1, 64, 32], vec![value; 64 * 32]);
        let y = testing::cpu(&MONARCH_MIXER, &case, &Serial);
        assert!(y.iter().all(|y| if expected.is_nan() { y.is_nan() } else { *y == expected }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn causal_outputs_do_not_see_the_future(seq_len in 2_usize..200, cut in 0.0_f64..1.0, seed in any::<u64>()) {
        let t = ((seq_len as f64 * cut) as usize).min(seq_len - 1);
        testing::causal(&MONARCH_MIXER, &Problem { seq_len, seed, ..PROBLEM }, "x", t);
    }

    #[test]
    fn agrees_with_the_reference_at_random(
        batch in 1_usize..3, seq_len in 1_usize..200, d_model in 1_usize..40, blocks in 1_usize..9,
        residual in any::<bool>(), causal in any::<bool>(), kind in 0_usize..4, seed in any::<u64>(),
    ) {
        let level = if kind == 0 { Level::Core } else { Level::Layer };
        let mut params = part(["sequence", "sequence", "block", "mlp"][kind]);
        params.set("residual_long_conv", residual);
        params.set("nblocks", blocks);
        params.set("expansion", 2_usize);
        let problem = Problem { batch, seq_len, d_model, n_heads: 1, causal, level, seed, task: mixer::Task::Forward };
        testing::agrees_with_reference(&MONARCH_MIXER, &problem, &params);
    }
}
