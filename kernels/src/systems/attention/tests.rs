use mixer::{Case, Level, MixerError, Params, Problem, Serial, SpotDraw, Tensor, Tensors};
use proptest::prelude::*;

use super::*;
use crate::multi_head::{self, groups};
use crate::testing::{self, PROBLEM, edge_problems};

testing::decode::decode_battery!(ATTENTION, "attention", groups);

#[test]
fn golden_parity() {
    testing::golden_parity(&ATTENTION, "attention");
}

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&ATTENTION, "attention");
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    for problem in edge_problems() {
        for params in groups(&problem) {
            testing::agrees_with_reference(&ATTENTION, &problem, &params);
        }
    }
}

#[test]
fn sequences_are_independent() {
    testing::batch_independent(&ATTENTION, &PROBLEM, &["x"]);
    testing::batch_independent(&ATTENTION, &Problem { level: Level::Core, ..PROBLEM }, &["q", "k", "v"]);
}

#[test]
fn stated_memory_equals_allocated_memory() {
    for level in [Level::Core, Level::Layer] {
        for seq_len in [64, 1000, 4096] {
            testing::truthful_memory(&ATTENTION, &Problem { seq_len, level, ..PROBLEM }, 0.0);
        }
    }
    testing::refuses_what_does_not_fit(&ATTENTION, &PROBLEM);
}

#[test]
fn memory_is_linear_and_fits_a_phone_at_32k() {
    let at = |seq_len| {
        let problem = Problem { seq_len, d_model: 256, n_heads: 4, ..PROBLEM };
        ATTENTION.cost(&problem, &Params::new()).unwrap().peak_bytes
    };
    assert!(at(32_768) < 400 << 20, "{} MiB", at(32_768) >> 20);
    let growth = at(32_768) as f64 / at(16_384) as f64;
    assert!((1.9..2.01).contains(&growth), "{growth}");
}

#[test]
fn fault_11_a_missing_key_in_a_long_sequence_fails_verification() {
    let problem = Problem { seq_len: 16_384, d_model: 16, n_heads: 1, batch: 1, causal: false, ..PROBLEM };
    let case = ATTENTION.seeded_case(&problem, &Params::new()).unwrap();
    let spot = ATTENTION.spot_check(&case, SpotDraw { max_flops: 1 << 27, ..testing::DRAW }).unwrap();
    let rows = |case: &Case| -> Vec<f32> {
        let output = testing::cpu(&ATTENTION, case, &Serial);
        spot.rows.iter().flat_map(|row| &output[row * 16..][..16]).copied().collect()
    };
    assert!(INFO.tolerance.compare_rows(&rows(&case), &spot.expected, 16).pass);
    let mut without = case.clone();
    let Some(Tensor::F32 { shape, mut data }) = case.tensors.get("x").cloned() else {
        panic!("attention has an input")
    };
    data[5000 * 16..][..16].fill(0.0);
    without.tensors.insert("x", &shape, data);
    assert!(!INFO.tolerance.compare_rows(&rows(&without), &spot.expected, 16).pass);
}

#[test]
fn counted_functions_equal_the_closed_form() {
    testing::counts_its_functions::<multi_head::Spec>(&ATTENTION, groups);
}

#[test]
fn counted_operations_equal_the_closed_form() {
    for problem in edge_problems() {
        for params in groups(&problem) {
            let case = ATTENTION.seeded_case(&problem, &params).unwrap();
            let count = testing::operations(&ATTENTION, &case);
            assert_eq!(count.flops, ATTENTION.cost(&problem, &params).unwrap().flops, "{problem:?}");
        }
    }
}

fn with_value(value: f32) -> Vec<f32> {
    let problem = Problem { level: Level::Core, causal: false, ..PROBLEM };
    let mut case = ATTENTION.seeded_case(&problem, &Params::new()).unwrap();
    for name in ["q", "k", "v"] {
        let Some(Tensor::F32 { shape, data }) = case.tensors.get(name).cloned() else { panic!("no {name}") };
        case.tensors.insert(name, &shape, vec![value; data.len()]);
    }
    testing::cpu(&ATTENTION, &case, &Serial)
}

/// Constant inputs give all keys equal weights, however large their scores. A NaN reaches the output.
#[test]
fn fault_10_constant_huge_and_nan_inputs() {
    for value in [0.0, 1.0, -3.5, 1e-40, 1e4] {
        for got in with_value(value) {
            assert!((got - value).abs() <= 1e-5 * value.abs(), "{value}: {got}");
        }
    }
    assert!(with_value(f32::NAN).iter().all(|value| value.is_nan()));
}

#[test]
fn a_case_with_a_wrong_shape_names_its_tensor() {
    let case = ATTENTION.seeded_case(&PROBLEM, &Params::new()).unwrap();
    let mut wrong = case.clone();
    wrong.tensors.insert("param.key.weight", &[2, 2], vec![0.0; 4]);
    let refused = |case: &Case| ATTENTION.reference(case).unwrap_err();
    assert!(matches!(refused(&wrong), MixerError::TensorShape { name, .. } if name == "param.key.weight"));
    let mut zero = case.clone();
    zero.config.set("heads", 3_usize);
    assert!(matches!(refused(&zero), MixerError::InvalidField { field, .. } if field == "heads"));
    let mut absent = case;
    absent.tensors = Tensors::new();
    assert!(matches!(refused(&absent), MixerError::MissingTensor { name } if name == "x"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn causal_outputs_do_not_see_the_future(seq_len in 2_usize..200, cut in 0.0_f64..1.0, seed in any::<u64>()) {
        let t = ((seq_len as f64 * cut) as usize).min(seq_len - 1);
        testing::causal(&ATTENTION, &Problem { seq_len, seed, ..PROBLEM }, "x", t);
    }

    #[test]
    fn agrees_with_the_reference_at_random(
        batch in 1_usize..3, seq_len in 1_usize..300, d_head in 1_usize..40, n_heads in 1_usize..4,
        causal in any::<bool>(), layer in any::<bool>(), seed in any::<u64>(),
    ) {
        let level = if layer { Level::Layer } else { Level::Core };
        let problem = Problem { batch, seq_len, d_model: d_head * n_heads, n_heads, causal, level, seed, task: mixer::Task::Forward };
        testing::agrees_with_reference(&ATTENTION, &problem, &Params::new());
    }
}
