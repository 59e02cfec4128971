use mixer::{Params, Serial};
use proptest::prelude::*;

use super::*;
use crate::systems::attention::ATTENTION;
use crate::testing::{self, PROBLEM, edge_problems};

fn params(rank: usize, share_kv: bool, one_kv_head: bool) -> Params {
    let mut params = Params::new();
    params.set("rank", rank);
    params.set("share_kv", share_kv);
    params.set("one_kv_head", one_kv_head);
    params
}

#[test]
fn golden_parity() {
    testing::golden_parity(&LINFORMER, "linformer");
}

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&LINFORMER, "linformer");
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    for problem in edge_problems().into_iter().filter(|problem| problem.causal) {
        for params in [params(1, false, false), params(130, true, false), params(20, false, true)] {
            testing::agrees_with_reference(&LINFORMER, &problem, &params);
        }
    }
}

#[test]
fn sequences_are_independent() {
    testing::batch_independent(&LINFORMER, &PROBLEM, &["x"]);
    testing::batch_independent(&LINFORMER, &Problem { level: Level::Core, ..PROBLEM }, &["q", "k", "v"]);
}

#[test]
fn stated_memory_equals_allocated_memory() {
    testing::states_its_memory(&LINFORMER, &[false]);
}

#[test]
fn cost_and_memory_are_linear() {
    testing::costs_linearly(&LINFORMER, 16.1);
}

#[test]
fn the_gpu_plan_is_linear_and_fits_guaranteed_limits() {
    testing::plans_linearly(&LINFORMER, 1.6);
}

#[test]
fn spot_rows_agree_at_length_65_536() {
    for level in [Level::Core, Level::Layer] {
        let problem = Problem { seq_len: 65_536, d_model: 16, n_heads: 2, level, ..PROBLEM };
        testing::agrees_at_length(&LINFORMER, &problem, &params(64, false, false));
    }
}

#[test]
fn counted_functions_equal_the_closed_form() {
    testing::counts_its_functions::<Spec>(&LINFORMER, |_| vec![Params::new(), params(3, true, true)]);
}

#[test]
fn counted_operations_equal_the_closed_form() {
    testing::counts_its_operations(&LINFORMER, |_| vec![Params::new(), params(3, true, true)]);
}

/// With as many rows as positions and the identity as map, the summaries are the keys and values.
#[test]
fn an_identity_map_gives_full_attention() {
    let problem = Problem { level: Level::Core, causal: false, ..PROBLEM };
    let length = problem.seq_len;
    let full = ATTENTION.seeded_case(&problem, &Params::new()).unwrap();
    let mut case = LINFORMER.seeded_case(&problem, &params(length, false, false)).unwrap();
    let identity: Vec<f32> =
        (0..length * length).map(|at| if at / length == at % length { 1.0 } else { 0.0 }).collect();
    for name in ["proj_k", "proj_v"] {
        case.tensors.insert(name, &[length, length], identity.clone());
    }
    let want = ATTENTION.reference(&full).unwrap();
    let deviation = INFO.tolerance.compare_f32(&testing::cpu(&LINFORMER, &case, &Serial), &want);
    assert!(deviation.pass, "{deviation:?}");
}

#[test]
fn causal_cases_and_lengths_beyond_the_maps_are_errors() {
    let case = LINFORMER.seeded_case(&PROBLEM, &Params::new()).unwrap();
    let mut causal = case.clone();
    causal.config.set("causal", true);
    let refused = |case: &Case| LINFORMER.reference(case).unwrap_err();
    assert!(matches!(refused(&causal), MixerError::Unsupported { .. }));
    let mut long = case;
    long.config.set("max_length", 10_usize);
    assert!(matches!(refused(&long), MixerError::InvalidField { field, .. } if field == "length"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn agrees_with_the_reference_at_random(
        batch in 1_usize..3, seq_len in 1_usize..300, d_head in 1_usize..20, n_heads in 1_usize..4,
        rank in 1_usize..200, layer in any::<bool>(), share in any::<bool>(), one in any::<bool>(), seed in any::<u64>(),
    ) {
        let level = if layer { Level::Layer } else { Level::Core };
        let problem = Problem { batch, seq_len, d_model: d_head * n_heads, n_heads, causal: false, level, seed, task: mixer::Task::Forward };
        testing::agrees_with_reference(&LINFORMER, &problem, &params(rank, share, one));
    }
}
