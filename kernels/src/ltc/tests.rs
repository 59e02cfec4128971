use mixer::{OpCount, Params, System};
use proptest::prelude::*;

use super::*;
use crate::testing::{self, PROBLEM, edge_problems};

fn sparse() -> Params {
    let mut params = Params::new();
    params.set("wiring", "ncp");
    params
}

#[test]
fn golden_parity() {
    testing::golden_parity(&Ltc, "ltc");
}

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&Ltc, "ltc");
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    let mut mixed = Params::new();
    mixed.set("mixed_memory", true);
    for problem in edge_problems().into_iter().filter(|problem| problem.causal) {
        for params in [Params::new(), sparse(), mixed.clone()] {
            testing::agrees_with_reference(&Ltc, &problem, &params);
        }
    }
}

#[test]
fn sequences_do_not_mix() {
    testing::batch_independent(&Ltc, &PROBLEM, &["x"]);
}

#[test]
fn stated_memory_is_what_it_takes() {
    for level in [Level::Core, Level::Layer] {
        for seq_len in [16, 64, 1000] {
            testing::truthful_memory(&Ltc, &Problem { seq_len, level, ..PROBLEM }, 0.0);
        }
    }
    testing::refuses_what_does_not_fit(&Ltc, &PROBLEM);
}

#[test]
fn counted_operations_equal_the_closed_form() {
    for problem in edge_problems().into_iter().filter(|problem| problem.seq_len < 100) {
        for params in [Params::new(), sparse()] {
            let mut count = OpCount::default();
            let case = Ltc.seeded_case(&problem, &params).unwrap();
            Ltc.reference(&case, &mut count).unwrap();
            let cost = Ltc.cost(&problem, &params).unwrap();
            assert_eq!((count.flops, count.setup_flops), (cost.flops, cost.setup_flops), "{problem:?}");
        }
    }
}

#[test]
fn a_sparse_wiring_costs_what_its_synapses_cost() {
    let full = Ltc.cost(&PROBLEM, &Params::new()).unwrap().flops;
    let case = Ltc.seeded_case(&PROBLEM, &sparse()).unwrap();
    let spec = Spec::read(&case).unwrap();
    let synapses = spec.recurrent(&case.tensors).unwrap().mask.iter().filter(|&&mask| mask != 0.0).count();
    assert!(synapses < spec.units * spec.units / 3, "{synapses} of {}", spec.units * spec.units);
    assert!(Ltc.cost(&PROBLEM, &sparse()).unwrap().flops < 3 * full);
}

#[test]
fn fewer_units_than_outputs_are_refused_by_name() {
    let mut params = Params::new();
    params.set("units", 8_usize);
    let problem = Problem { level: Level::Layer, ..PROBLEM };
    let error = Ltc.seeded_case(&problem, &params).unwrap_err();
    assert!(matches!(error, MixerError::InvalidField { field, .. } if field == "params.units"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn outputs_do_not_see_the_future(seq_len in 2_usize..150, cut in 0.0_f64..1.0, seed in any::<u64>()) {
        let t = ((seq_len as f64 * cut) as usize).min(seq_len - 1);
        testing::causal(&Ltc, &Problem { seq_len, seed, d_model: 8, ..PROBLEM }, "x", t);
    }
}
