use mixer::{Case, Level, MixerError, NoDecode, Params, Problem, Serial, Tensor, Value};
use proptest::prelude::*;

use super::*;
use crate::testing::{self, PROBLEM, edge_problems};

fn with(values: &[(&str, Value)]) -> Params {
    let mut params = Params::new();
    params.set("d_state", 10_usize);
    for (name, value) in values {
        params.set(*name, value.clone());
    }
    params
}

fn kernel(name: &str) -> Params {
    with(&[("liquid_kernel", name.into())])
}

#[test]
fn golden_parity() {
    testing::golden_parity(&LIQUID_S4, "liquid-s4");
}

testing::decode::decode_battery!(LIQUID_S4, "liquid-s4", |_: &Problem| vec![
    kernel("recurrence"),
    kernel("none")
]);

/// Forms without a recurrence say why they do not decode.
#[test]
fn only_recurrences_decode() {
    let problem = Problem { causal: false, ..PROBLEM };
    let refused =
        |params: &Params| match LIQUID_S4.token_inputs(&LIQUID_S4.seeded_case(&problem, params).unwrap()) {
            Err(MixerError::NoDecode { why, .. }) => Some(why),
            Ok(_) => None,
            other => panic!("{other:?}"),
        };
    let backward = with(&[("bidirectional", true.into()), ("liquid_kernel", "none".into())]);
    assert_eq!(refused(&kernel("polyb")), Some(NoDecode::WholeSequence));
    assert_eq!(refused(&kernel("kb")), Some(NoDecode::WholeSequence));
    assert_eq!(refused(&backward), Some(NoDecode::NotCausal));
    assert_eq!(refused(&kernel("recurrence")), None);
    assert_eq!(refused(&kernel("none")), None);
    let mut low_rank = LIQUID_S4.seeded_case(&problem, &kernel("none")).unwrap();
    low_rank.config.set("mode", "nplr");
    assert!(matches!(LIQUID_S4.token_inputs(&low_rank), Err(MixerError::Unsupported { .. })));
}

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&LIQUID_S4, "liquid-s4");
}

/// Kernels in the golden files equal those computed from the parameters; low-rank kernels take linear time.
#[test]
fn the_kernels_equal_the_authors_kernels() {
    let mut checked = 0;
    for golden in testing::goldens("liquid-s4") {
        let spec = Spec::read(&golden.case).unwrap();
        let Some(Tensor::F32 { data, .. }) = golden.case.tensors.get("k") else { continue };
        let ssm = ssm::Ssm::read(&spec, &golden.case.tensors).unwrap();
        for (row, want) in data.chunks_exact(spec.dims.seq_len).enumerate() {
            let (direction, channel) = (row / spec.dims.d_model, row % spec.dims.d_model);
            ssm.channels[channel].for_each_tap(direction, want.len(), |l, got| {
                let want = f64::from(want[l]);
                assert!((got - want).abs() < 1e-6 * (1.0 + want.abs()), "{}: {got} {want}", golden.name);
                checked += 1;
            });
        }
    }
    assert!(checked > 0);
}

#[test]
fn tuples_are_the_last_in_lexicographic_order() {
    for (length, q) in [(5, 2), (37, 2), (64, 3), (100, 4)] {
        let n = liquid::positions(length, q).unwrap();
        assert!(liquid::binomial(n, q) >= length as u64 && liquid::binomial(n - 1, q) < length as u64);
        let mut walked = Vec::new();
        let mut tuples = liquid::Tuples::last(length, q).unwrap();
        loop {
            let (prefix, last) = tuples.run();
            walked.extend(last.map(|last| prefix.iter().copied().chain([last]).collect::<Vec<_>>()));
            if !tuples.advance() {
                break;
            }
        }
        assert_eq!(walked.len(), length);
        assert!(walked.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(walked.last().unwrap(), &(n - q..n).collect::<Vec<_>>());
        for (t, tuple) in walked.iter().enumerate() {
            let rank = liquid::binomial(n, q) - (length - t) as u64;
            let single = liquid::Tuples::from_rank(n, q, rank);
            let (prefix, last) = single.run();
            assert_eq!(&prefix.iter().copied().chain([last.start]).collect::<Vec<_>>(), tuple);
        }
    }
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    for problem in edge_problems() {
        for name in ["auto", "none", "recurrence", "polyb", "kb"] {
            // Short sequences have too few combinations, and the published terms are not causal.
            if LIQUID_S4.seeded_case(&problem, &kernel(name)).is_ok() {
                testing::agrees_with_reference(&LIQUID_S4, &problem, &kernel(name));
            } else {
                assert!(problem.seq_len < 5 || problem.causal, "{problem:?} {name}");
            }
        }
    }
}

#[test]
fn sequences_are_independent() {
    for causal in [false, true] {
        for level in [Level::Core, Level::Layer] {
            testing::batch_independent(&LIQUID_S4, &Problem { causal, level, ..PROBLEM }, &["x"]);
        }
    }
}

#[test]
fn stated_memory_equals_allocated_memory() {
    for level in [Level::Core, Level::Layer] {
        for causal in [false, true] {
            for seq_len in [64, 1000] {
                testing::truthful_memory(&LIQUID_S4, &Problem { seq_len, level, causal, ..PROBLEM }, 0.001);
            }
        }
    }
    testing::refuses_what_does_not_fit(&LIQUID_S4, &PROBLEM);
}

/// All operations but the convolutions are counted exactly. Convolutions are counted as direct sums, as in the model.
#[test]
fn counted_operations_equal_the_closed_form() {
    let check = |name: &str, case: &Case| {
        let spec = Spec::read(case).unwrap();
        let count = testing::operations(&LIQUID_S4, case);
        assert_eq!(count.flops, (cost::other_flops(&spec) + cost::direct_flops(&spec)).get(), "{name}");
        let setup = cost::setup_flops(&spec).get();
        assert_eq!(count.setup_flops, setup, "{name}");
    };
    for golden in testing::goldens("liquid-s4") {
        check(&golden.name, &golden.case);
    }
    for problem in edge_problems() {
        if let Ok(case) = LIQUID_S4.seeded_case(&problem, &Params::new()) {
            check(&format!("{problem:?}"), &case);
        }
    }
}

#[test]
fn counted_functions_equal_the_closed_form() {
    testing::counts_its_functions::<Spec>(&LIQUID_S4, |problem| {
        let all = ["none", "recurrence", "polyb", "kb"].map(kernel);
        all.into_iter().filter(|params| LIQUID_S4.seeded_case(problem, params).is_ok()).collect()
    });
}

#[test]
fn operations_grow_almost_linearly() {
    for causal in [false, true] {
        let at = |seq_len| {
            let problem = Problem { seq_len, d_model: 256, causal, ..PROBLEM };
            LIQUID_S4.cost(&problem, &Params::new()).unwrap().flops as f64
        };
        let exponent = (at(65_536) / at(4096)).log2() / 4.0;
        assert!((1.0..1.1).contains(&exponent), "{exponent}");
    }
}

#[test]
fn spot_rows_agree_at_length_65_536() {
    for (level, causal) in [(Level::Core, true), (Level::Layer, true), (Level::Layer, false)] {
        let problem = Problem { seq_len: 65_536, d_model: 8, level, causal, ..PROBLEM };
        let case = LIQUID_S4.seeded_case(&problem, &Params::new()).unwrap();
        testing::passes_its_spot_check(&LIQUID_S4, &case, testing::DRAW);
    }
}

/// Without liquid terms the convolution equals the linear recurrence h ← Āh + B̄x.
#[test]
fn the_convolution_is_the_recurrence() {
    let problem = Problem { level: Level::Core, seq_len: 200, d_model: 3, n_heads: 1, ..PROBLEM };
    let case = LIQUID_S4.seeded_case(&problem, &kernel("none")).unwrap();
    let spec = Spec::read(&case).unwrap();
    let y = testing::cpu(&LIQUID_S4, &case, &Serial);
    let x = case.tensors.floats("x", &[1, 200, 3]).unwrap();
    let skip = spec.skip(&case.tensors).unwrap();
    for (channel, model) in ssm::Ssm::read(&spec, &case.tensors).unwrap().channels.iter().enumerate() {
        let modes = model.bilinear();
        let mut states = vec![crate::ops::complex::Complex::default(); modes.len()];
        for t in 0..200 {
            let x = f64::from(x[t * 3 + channel]);
            let mut s = f64::from(skip[channel]) * x;
            for ((h, (a, b)), c) in states.iter_mut().zip(&modes).zip(&model.c[0]) {
                *h = *a * *h + b.times(x);
                s += 2.0 * (*c * *h).re;
            }
            let got = f64::from(y[t * 3 + channel]);
            assert!((got - s).abs() < 1e-4 * (1.0 + s.abs()), "t {t}: {got} {s}");
        }
    }
}

/// The plain model is linear; the liquid model is not.
#[test]
fn only_the_plain_model_is_linear() {
    let problem = Problem { level: Level::Core, causal: false, ..PROBLEM };
    for (name, linear) in [("none", true), ("polyb", false), ("kb", false), ("recurrence", false)] {
        let case = LIQUID_S4.seeded_case(&problem, &kernel(name)).unwrap();
        let mut doubled = case.clone();
        let Some(Tensor::F32 { shape, mut data }) = case.tensors.get("x").cloned() else { panic!() };
        data.iter_mut().for_each(|value| *value *= 2.0);
        doubled.tensors.insert("x", &shape, data);
        let (once, twice) =
            (testing::cpu(&LIQUID_S4, &case, &Serial), testing::cpu(&LIQUID_S4, &doubled, &Serial));
        let holds = once.iter().zip(&twice).all(|(once, twice)| 2.0 * once == *twice);
        assert_eq!(holds, linear, "{name}");
    }
}

#[test]
fn invalid_parameters_are_errors_that_name_the_field() {
    let refused = |problem: &Problem, params: &Params| match LIQUID_S4.seeded_case(problem, params) {
        Err(MixerError::InvalidField { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&PROBLEM, &kernel("polyb")), "liquid_kernel");
    assert_eq!(refused(&PROBLEM, &with(&[("bidirectional", true.into())])), "bidirectional");
    let short = Problem { seq_len: 4, causal: false, ..PROBLEM };
    assert_eq!(refused(&short, &Params::new()), "length");
    let both = with(&[("bidirectional", true.into()), ("liquid_kernel", "recurrence".into())]);
    assert_eq!(refused(&Problem { causal: false, ..PROBLEM }, &both), "bidirectional");
}

/// Zeros give zeros. A NaN reaches the output.
#[test]
fn fault_10_zero_and_nan_inputs() {
    for causal in [false, true] {
        let problem = Problem { level: Level::Core, causal, ..PROBLEM };
        let mut case = LIQUID_S4.seeded_case(&problem, &Params::new()).unwrap();
        case.tensors.insert("x", &[1, 64, 32], vec![0.0; 64 * 32]);
        assert!(testing::cpu(&LIQUID_S4, &case, &Serial).iter().all(|&value| value == 0.0));
        case.tensors.insert("x", &[1, 64, 32], vec![f32::NAN; 64 * 32]);
        assert!(testing::cpu(&LIQUID_S4, &case, &Serial).iter().all(|value| value.is_nan()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn causal_outputs_do_not_see_the_future(seq_len in 2_usize..300, cut in 0.0_f64..1.0, seed in any::<u64>()) {
        let t = ((seq_len as f64 * cut) as usize).min(seq_len - 1);
        testing::causal(&LIQUID_S4, &Problem { seq_len, seed, ..PROBLEM }, "x", t);
    }

    #[test]
    fn agrees_with_the_reference_at_random(
        batch in 1_usize..3, seq_len in 7_usize..150, d_model in 1_usize..30, d_state in 2_usize..20,
        degree in 2_usize..5, allcombs in any::<bool>(), contraction in 0_usize..3, both in any::<bool>(),
        name in 0_usize..4, layer in any::<bool>(), seed in any::<u64>(),
    ) {
        let name = ["polyb", "kb", "recurrence", "none"][name];
        let params = with(&[
            ("liquid_kernel", name.into()),
            ("d_state", d_state.into()),
            ("liquid_degree", degree.into()),
            ("allcombs", allcombs.into()),
            ("lcontract", ["none", "tanh", "lecun"][contraction].into()),
            ("bidirectional", (both && name != "recurrence").into()),
        ]);
        let level = if layer { Level::Layer } else { Level::Core };
        let problem = Problem { batch, seq_len, d_model, n_heads: 1, causal: false, level, seed, task: mixer::Task::Forward };
        testing::agrees_with_reference(&LIQUID_S4, &problem, &params);
    }
}
