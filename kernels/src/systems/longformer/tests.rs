use mixer::{Params, Serial, Tensor};
use proptest::prelude::*;

use super::*;
use crate::systems::attention::ATTENTION;
use crate::testing::{self, PROBLEM, edge_problems};

fn params(window: usize, n_global: usize, dilation: usize) -> Params {
    let mut params = Params::new();
    params.set("window", window);
    params.set("n_global", n_global);
    params.set("dilation", dilation);
    params
}

testing::decode::decode_battery!(LONGFORMER, "longformer", |_: &Problem| vec![
    params(2, 0, 1),
    params(16, 3, 1),
    params(40, 0, 3),
    params(6, 0, 64),
    params(512, 1, 1)
]);

#[test]
fn golden_parity() {
    testing::golden_parity(&LONGFORMER, "longformer");
}

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&LONGFORMER, "longformer");
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    for problem in edge_problems() {
        for (window, n_global) in [(2, 0), (4, 1), (16, 3), (64, 70), (512, 1)] {
            testing::agrees_with_reference(&LONGFORMER, &problem, &params(window, n_global, 1));
        }
        if problem.causal {
            testing::agrees_with_reference(&LONGFORMER, &problem, &params(6, 0, 3));
            testing::agrees_with_reference(&LONGFORMER, &problem, &params(200, 0, 2));
        }
    }
}

/// Windows wider than a key tile, blocks in the middle of a long sequence, and both block sizes.
#[test]
fn long_bands_agree_with_the_reference() {
    for (window, dilation, causal) in [(64, 1, false), (400, 1, false), (400, 1, true), (190, 2, true)] {
        let problem =
            Problem { seq_len: 1100, d_model: 16, n_heads: 2, level: Level::Core, causal, ..PROBLEM };
        testing::agrees_with_reference(&LONGFORMER, &problem, &params(window, 2, dilation));
    }
}

/// A window over the whole sequence is plain attention.
#[test]
fn a_full_window_is_attention() {
    for (causal, seq_len) in [(false, 150), (true, 150), (false, 16)] {
        let problem = Problem { seq_len, causal, level: Level::Core, batch: 2, ..PROBLEM };
        let case = LONGFORMER.seeded_case(&problem, &params(512, 0, 1)).unwrap();
        let want = ATTENTION.reference(&case).unwrap();
        let got = testing::cpu(&LONGFORMER, &case, &Serial);
        assert!(INFO.tolerance.compare_f32(&got, &want).pass);
        let flops = testing::operations(&ATTENTION, &case).flops;
        assert_eq!(flops, LONGFORMER.cost(&problem, &params(512, 0, 1)).unwrap().flops);
    }
}

/// Stated exactly where every list of keys holds every position that attention sees: up to 258 positions with the
/// defaults.
#[test]
fn full_attention_is_stated_where_all_pairs_are_seen() {
    let table = [
        (params(512, 1, 1), false, 258),
        (params(512, 0, 1), false, 257),
        (params(16, 30, 1), false, 39),
        (params(512, 1, 1), true, 257),
        (params(512, 0, 2), true, 1),
    ];
    for (params, causal, longest) in table {
        for seq_len in [1, longest, longest + 1, 2 * longest + 5] {
            let problem = Problem { seq_len, causal, level: Level::Core, ..PROBLEM };
            let case = LONGFORMER.seeded_case(&problem, &params).unwrap();
            let spec = Spec::read(&case).unwrap();
            let sees_all = |i| {
                let wanted = if causal { i + 1 } else { seq_len };
                spec.is_global(0, i) || model::local_keys(&spec, 0, 0, i).len() == wanted
            };
            let full = LONGFORMER.cost(&problem, &params).unwrap().full_attention;
            assert_eq!((0..seq_len).all(sees_all), full, "{seq_len} {causal}");
            assert_eq!(full, seq_len <= longest, "{seq_len} {causal}");
        }
    }
}

/// With all positions global and the global streams equal to the local streams, it is plain attention.
#[test]
fn all_positions_global_is_attention() {
    let problem = Problem { seq_len: 70, causal: false, level: Level::Core, ..PROBLEM };
    let mut case = LONGFORMER.seeded_case(&problem, &params(4, 70, 1)).unwrap();
    for name in ["q", "k", "v"] {
        let Some(Tensor::F32 { shape, data }) = case.tensors.get(name).cloned() else { panic!("no {name}") };
        case.tensors.insert(format!("{name}_global"), &shape, data);
    }
    let want = ATTENTION.reference(&case).unwrap();
    assert!(INFO.tolerance.compare_f32(&testing::cpu(&LONGFORMER, &case, &Serial), &want).pass);
}

/// An input changes only outputs within its window; a global input changes all outputs.
#[test]
fn inputs_reach_as_far_as_the_window() {
    let problem = Problem { seq_len: 300, causal: false, level: Level::Core, ..PROBLEM };
    let case = LONGFORMER.seeded_case(&problem, &params(32, 1, 1)).unwrap();
    let before = testing::cpu(&LONGFORMER, &case, &Serial);
    let moved = |name: &str, t: usize| -> Vec<usize> {
        let mut changed = case.clone();
        let Some(Tensor::F32 { shape, mut data }) = case.tensors.get(name).cloned() else {
            panic!("no {name}")
        };
        data[t * 32..][..32].iter_mut().for_each(|value| *value += 1.0);
        changed.tensors.insert(name, &shape, data);
        let after = testing::cpu(&LONGFORMER, &changed, &Serial);
        (0..300).filter(|row| before[row * 32..][..32] != after[row * 32..][..32]).collect()
    };
    assert_eq!(moved("v", 150), (134..=166).collect::<Vec<_>>());
    assert_eq!(moved("v", 0), (1..300).collect::<Vec<_>>());
    assert_eq!(moved("v_global", 150), vec![0]);
    assert_eq!(moved("q_global", 150), Vec::<usize>::new());
}

#[test]
fn sequences_are_independent() {
    let mask = "global_mask";
    testing::batch_independent(&LONGFORMER, &PROBLEM, &["x", mask]);
    let problem = Problem { causal: false, ..PROBLEM };
    testing::batch_independent(&LONGFORMER, &problem, &["x", mask]);
    let problem = Problem { level: Level::Core, ..problem };
    let inputs = ["q", "k", "v", "q_global", "k_global", "v_global", mask];
    testing::batch_independent(&LONGFORMER, &problem, &inputs);
}

#[test]
fn stated_memory_equals_allocated_memory() {
    testing::states_its_memory(&LONGFORMER, &[false, true]);
}

#[test]
fn counted_functions_equal_the_closed_form() {
    testing::counts_its_functions::<Spec>(&LONGFORMER, |_| vec![params(2, 0, 1), params(20, 90, 1)]);
}

#[test]
fn counted_operations_equal_the_closed_form() {
    let all = [(2, 0, 1), (6, 1, 1), (6, 5, 1), (20, 90, 1), (512, 300, 1), (10, 0, 3)];
    testing::counts_its_operations(&LONGFORMER, |problem| {
        let dilated = |dilation| if problem.causal { dilation } else { 1 };
        all.iter().map(|&(window, n_global, d)| params(window, n_global, dilated(d))).collect()
    });
}

#[test]
fn cost_and_memory_are_linear() {
    testing::costs_linearly(&LONGFORMER, 16.1);
}

#[test]
fn spot_rows_agree_at_length_65_536() {
    for (causal, dilation) in [(false, 1), (true, 1), (true, 2)] {
        for level in [Level::Core, Level::Layer] {
            let problem = Problem { seq_len: 65_536, d_model: 16, n_heads: 2, causal, level, ..PROBLEM };
            testing::agrees_at_length(&LONGFORMER, &problem, &params(512, 1, dilation));
        }
    }
}

#[test]
fn invalid_parameters_are_errors_that_name_the_field() {
    let field = |error: MixerError| match error {
        MixerError::InvalidField { field, .. } => field,
        other => panic!("{other:?}"),
    };
    let bidirectional = Problem { causal: false, ..PROBLEM };
    assert_eq!(field(LONGFORMER.seeded_case(&PROBLEM, &params(7, 0, 1)).unwrap_err()), "window");
    assert_eq!(field(LONGFORMER.cost(&bidirectional, &params(8, 0, 2)).unwrap_err()), "dilation");
    let refused = |case: &Case| field(LONGFORMER.reference(case).unwrap_err());
    let mut case = LONGFORMER.seeded_case(&PROBLEM, &params(8, 0, 1)).unwrap();
    case.config.set("dilation", Value::List(vec![Value::Int(1)]));
    assert_eq!(refused(&case), "dilation");
    case.config.set("dilation", Value::List(vec![Value::Int(1), Value::Int(0)]));
    assert_eq!(refused(&case), "dilation");
    case.config.set("dilation", 1_usize);
    case.tensors.insert_i32("global_mask", &[1, 64], vec![1; 64]);
    assert_eq!(refused(&case), "global_mask");
}

#[test]
fn the_gpu_plan_is_linear_and_fits_guaranteed_limits() {
    testing::plans_linearly(&LONGFORMER, 1.6);
}

#[test]
fn fault_10_constant_huge_and_nan_inputs() {
    let inputs = ["q", "k", "v", "q_global", "k_global", "v_global"];
    testing::averages_constants_and_shows_nan(&LONGFORMER, &params(8, 1, 1), &inputs);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn causal_outputs_do_not_see_the_future(seq_len in 2_usize..200, cut in 0.0_f64..1.0, seed in any::<u64>()) {
        let t = ((seq_len as f64 * cut) as usize).min(seq_len - 1);
        testing::causal(&LONGFORMER, &Problem { seq_len, seed, level: Level::Core, ..PROBLEM }, "v", t);
    }

    #[test]
    fn agrees_with_the_reference_at_random(
        batch in 1_usize..3, seq_len in 1_usize..300, d_head in 1_usize..20, n_heads in 1_usize..4,
        half_window in 1_usize..80, n_global in 0_usize..9, dilation in 1_usize..9,
        causal in any::<bool>(), layer in any::<bool>(), seed in any::<u64>(),
    ) {
        let level = if layer { Level::Layer } else { Level::Core };
        let problem = Problem { batch, seq_len, d_model: d_head * n_heads, n_heads, causal, level, seed, task: mixer::Task::Forward };
        let params = params(2 * half_window, n_global, if causal { dilation } else { 1 });
        testing::agrees_with_reference(&LONGFORMER, &problem, &params);
    }

    /// Global positions anywhere, different in each sequence; in the causal form a dilation per head.
    #[test]
    fn any_mask_and_any_dilations_agree_with_the_reference(
        seq_len in 1_usize..200, half_window in 0_usize..40, causal in any::<bool>(),
        dilations in prop::collection::vec(1_i64..50, 2), mask in prop::collection::vec(0_i32..4, 400), seed in any::<u64>(),
    ) {
        let problem = Problem { batch: 2, seq_len, causal, level: Level::Core, seed, ..PROBLEM };
        let mut case = LONGFORMER.seeded_case(&problem, &params(2, 1, 1)).unwrap();
        case.config.set("window", 2 * half_window);
        if causal {
            case.config.set("dilation", Value::List(dilations.into_iter().map(Value::Int).collect()));
        } else {
            let mask = mask[..2 * seq_len].iter().map(|&value| i32::from(value == 0)).collect();
            case.tensors.insert_i32("global_mask", &[2, seq_len], mask);
        }
        let want = LONGFORMER.reference(&case).unwrap();
        let deviation = INFO.tolerance.compare_f32(&testing::cpu(&LONGFORMER, &case, &Serial), &want);
        prop_assert!(deviation.pass, "{deviation:?}");
    }
}
