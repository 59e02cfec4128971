use std::sync::Arc;

use mixer::{Level, Memory, MixerError, Params, Problem};
use proptest::prelude::*;

use super::*;
use crate::multi_head::groups;
use crate::testing::{self, PROBLEM, edge_problems};

testing::decode::decode_battery!(ATTENTION_NAIVE, "attention", groups);

#[test]
fn golden_parity() {
    testing::golden_parity(&ATTENTION_NAIVE, "attention");
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    for problem in edge_problems() {
        for params in groups(&problem) {
            testing::agrees_with_reference(&ATTENTION_NAIVE, &problem, &params);
        }
    }
}

#[test]
fn sequences_are_independent() {
    testing::batch_independent(&ATTENTION_NAIVE, &PROBLEM, &["x"]);
}

#[test]
fn stated_memory_is_exact_and_quadratic() {
    for level in [Level::Core, Level::Layer] {
        for seq_len in [64, 500, 1024] {
            testing::truthful_memory(&ATTENTION_NAIVE, &Problem { seq_len, level, ..PROBLEM }, 0.0);
        }
    }
    testing::refuses_what_does_not_fit(&ATTENTION_NAIVE, &PROBLEM);
    let at = |seq_len| {
        ATTENTION_NAIVE.cost(&Problem { seq_len, ..PROBLEM }, &Params::new()).unwrap().peak_bytes as f64
    };
    assert!((3.9..4.01).contains(&(at(65_536) / at(32_768))));
}

#[test]
fn scores_beyond_memory_are_an_error() {
    let problem = Problem { seq_len: 1 << 20, d_model: 4, n_heads: 4, level: Level::Core, ..PROBLEM };
    let case = Arc::new(ATTENTION_NAIVE.seeded_case(&problem, &Params::new()).unwrap());
    let error = ATTENTION_NAIVE.cpu(&case, &Memory::new(4 * testing::GIB), &mixer::Serial).err();
    assert!(matches!(error, Some(MixerError::OutOfMemory { needed_bytes, .. }) if needed_bytes == 16 << 40));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn causal_outputs_do_not_see_the_future(seq_len in 2_usize..120, cut in 0.0_f64..1.0, seed in any::<u64>()) {
        let t = ((seq_len as f64 * cut) as usize).min(seq_len - 1);
        testing::causal(&ATTENTION_NAIVE, &Problem { seq_len, seed, ..PROBLEM }, "x", t);
    }
}
