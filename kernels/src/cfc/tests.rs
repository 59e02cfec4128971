use mixer::{OpCount, Params, System};
use proptest::prelude::*;

use mixer::Level;

use super::*;
use crate::testing::{self, PROBLEM, edge_problems};

fn sparse() -> Params {
    let mut params = Params::new();
    params.set("wiring", "ncp");
    params
}

#[test]
fn golden_parity() {
    testing::golden_parity(&Cfc, "cfc");
}

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&Cfc, "cfc");
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    let mut mixed = Params::new();
    mixed.set("mixed_memory", true);
    for problem in edge_problems().into_iter().filter(|problem| problem.causal) {
        for params in [Params::new(), sparse(), mixed.clone()] {
            testing::agrees_with_reference(&Cfc, &problem, &params);
        }
    }
}

#[test]
fn sequences_do_not_mix() {
    testing::batch_independent(&Cfc, &PROBLEM, &["x"]);
}

#[test]
fn stated_memory_is_what_it_takes() {
    for level in [Level::Core, Level::Layer] {
        for seq_len in [16, 64, 1000] {
            testing::truthful_memory(&Cfc, &Problem { seq_len, level, ..PROBLEM }, 0.0);
        }
    }
    testing::refuses_what_does_not_fit(&Cfc, &PROBLEM);
}

#[test]
fn counted_operations_equal_the_closed_form() {
    for problem in edge_problems().into_iter().filter(|problem| problem.seq_len < 100) {
        for params in [Params::new(), sparse()] {
            let mut count = OpCount::default();
            let case = Cfc.seeded_case(&problem, &params).unwrap();
            Cfc.reference(&case, &mut count).unwrap();
            let cost = Cfc.cost(&problem, &params).unwrap();
            assert_eq!((count.flops, count.setup_flops), (cost.flops, cost.setup_flops), "{problem:?}");
        }
    }
}

#[test]
fn a_network_without_room_for_its_outputs_is_refused_by_name() {
    let mut params = sparse();
    params.set("units", 8_usize);
    let error = Cfc.seeded_case(&PROBLEM, &params).unwrap_err();
    assert!(matches!(error, MixerError::InvalidField { field, .. } if field == "params.units"));
}

#[test]
fn layer_sizes_that_do_not_add_up_are_refused_by_name() {
    let mut case = Cfc.seeded_case(&PROBLEM, &sparse()).unwrap();
    case.config.set("layer_sizes", Value::List(vec![Value::Int(1), Value::Int(2)]));
    let error = Cfc.reference(&case, &mut OpCount::default()).unwrap_err();
    assert!(matches!(error, MixerError::InvalidField { field, .. } if field == "layer_sizes"));
}

/// Every mode, with and without a backbone.
#[test]
fn all_forms_agree_with_the_reference() {
    for mode in ["default", "no_gate", "pure"] {
        for layers in 0..3_usize {
            for activation in ACTIVATIONS {
                let mut params = Params::new();
                params.set("mode", mode);
                params.set("backbone_layers", layers);
                params.set("backbone_units", 20_usize);
                params.set("activation", activation);
                let problem = Problem { seq_len: 70, d_model: 10, batch: 2, ..PROBLEM };
                testing::agrees_with_reference(&Cfc, &problem, &params);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn outputs_do_not_see_the_future(seq_len in 2_usize..150, cut in 0.0_f64..1.0, seed in any::<u64>()) {
        let t = ((seq_len as f64 * cut) as usize).min(seq_len - 1);
        testing::causal(&Cfc, &Problem { seq_len, seed, d_model: 8, ..PROBLEM }, "x", t);
    }
}
