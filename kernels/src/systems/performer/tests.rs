use mixer::{Params, Serial, Tensor, Value};
use proptest::prelude::*;

use super::*;
use crate::ops::exact::widen;
use crate::systems::attention::ATTENTION;
use crate::testing::{self, PROBLEM, Threads, edge_problems};

#[test]
fn golden_parity() {
    testing::golden_parity(&PERFORMER, "performer");
}

fn params(nb_features: usize, ortho_scaling: usize) -> Params {
    let mut params = Params::new();
    params.set("nb_features", nb_features);
    params.set("ortho_scaling", ortho_scaling);
    params
}

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&PERFORMER, "performer");
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    for problem in edge_problems() {
        for params in [params(0, 0), params(1, 1), params(50, 0)] {
            testing::agrees_with_reference(&PERFORMER, &problem, &params);
        }
    }
}

#[test]
fn sequences_are_independent() {
    for causal in [false, true] {
        let problem = Problem { seq_len: 230, causal, ..PROBLEM };
        testing::batch_independent(&PERFORMER, &problem, &["x"]);
        testing::batch_independent(&PERFORMER, &Problem { level: Level::Core, ..problem }, &["q", "k", "v"]);
    }
}

#[test]
fn stated_memory_equals_allocated_memory() {
    testing::states_its_memory(&PERFORMER, &[false, true]);
}

#[test]
fn counted_operations_equal_the_closed_form() {
    testing::counts_its_operations(&PERFORMER, |_| vec![params(0, 0), params(3, 1)]);
}

#[test]
fn cost_and_memory_are_linear() {
    testing::costs_linearly(&PERFORMER, 16.1);
}

#[test]
fn the_gpu_plan_is_linear_and_fits_guaranteed_limits() {
    // Keys are projected twice, and the masked square is computed as a full square.
    testing::plans_linearly(&PERFORMER, 1.9);
}

#[test]
fn spot_rows_agree_at_length_65_536() {
    for level in [Level::Core, Level::Layer] {
        for causal in [false, true] {
            let problem = Problem { seq_len: 65_536, d_model: 16, n_heads: 2, causal, level, ..PROBLEM };
            testing::agrees_at_length(&PERFORMER, &problem, &Params::new());
        }
    }
}

#[test]
fn fault_10_constant_huge_and_nan_inputs() {
    testing::averages_constants_and_shows_nan(&PERFORMER, &Params::new(), &["q", "k", "v"]);
}

/// Each part of a sequence is summed relative to its own maximum, so the result must not depend on the number of parts,
/// even if the maxima differ greatly.
#[test]
fn outputs_do_not_depend_on_the_number_of_parts() {
    for causal in [false, true] {
        let problem = Problem { seq_len: 1000, n_heads: 1, causal, level: Level::Core, ..PROBLEM };
        let mut case = PERFORMER.seeded_case(&problem, &Params::new()).unwrap();
        let Some(Tensor::F32 { shape, mut data }) = case.tensors.get("k").cloned() else { panic!("no k") };
        for (t, row) in data.chunks_exact_mut(32).enumerate() {
            row.iter_mut().for_each(|value| *value *= t as f32 / 400.0);
        }
        case.tensors.insert("k", &shape, data);
        let want = PERFORMER.reference(&case).unwrap();
        for threads in [1, 2, 3, 7] {
            let got = testing::cpu(&PERFORMER, &case, &Threads(threads));
            let deviation = INFO.tolerance.compare_f32(&got, &want);
            assert!(deviation.pass, "causal {causal}, {threads} threads: {deviation:?}");
        }
    }
}

fn scaled(case: &mut Case, name: &str, factor: f32) {
    let Some(Tensor::F32 { shape, mut data }) = case.tensors.get(name).cloned() else { panic!("no {name}") };
    data.iter_mut().for_each(|value| *value *= factor);
    case.tensors.insert(name, &shape, data);
}

/// The maximum is over the keys of the whole sequence, so x at t changes earlier outputs. v at t must not.
#[test]
fn causal_outputs_do_not_see_later_values() {
    let problem = Problem { seq_len: 250, causal: true, level: Level::Core, ..PROBLEM };
    let case = PERFORMER.seeded_case(&problem, &Params::new()).unwrap();
    let before = testing::cpu(&PERFORMER, &case, &Serial);
    for t in [1, 47, 48, 95, 96, 200, 249] {
        let mut changed = case.clone();
        let Some(Tensor::F32 { shape, mut data }) = case.tensors.get("v").cloned() else { panic!("no v") };
        data[t * 32..].iter_mut().for_each(|value| *value += 1.0);
        changed.tensors.insert("v", &shape, data);
        let after = testing::cpu(&PERFORMER, &changed, &Serial);
        assert!(testing::bits(&before[..t * 32]) == testing::bits(&after[..t * 32]), "at {t}");
        for (a, b) in before[t * 32..].iter().zip(&after[t * 32..]) {
            assert!(a < b, "at {t}: {a} {b}");
        }
    }
}

/// With the maximum fixed by a first key above all others, outputs do not depend on later keys either.
#[test]
fn causal_outputs_do_not_see_later_keys_below_the_maximum() {
    let problem = Problem { seq_len: 250, causal: true, level: Level::Core, ..PROBLEM };
    let mut case = PERFORMER.seeded_case(&problem, &Params::new()).unwrap();
    let Some(Tensor::F32 { shape, mut data }) = case.tensors.get("k").cloned() else { panic!("no k") };
    data[..32].iter_mut().for_each(|value| *value *= 3.0);
    let mut changed = case.clone();
    case.tensors.insert("k", &shape, data.clone());
    data[150 * 32..].iter_mut().for_each(|value| *value *= 0.5);
    changed.tensors.insert("k", &shape, data);
    let (before, after) =
        (testing::cpu(&PERFORMER, &case, &Serial), testing::cpu(&PERFORMER, &changed, &Serial));
    assert!(testing::bits(&before[..150 * 32]) == testing::bits(&after[..150 * 32]));
    assert!(testing::bits(&before[150 * 32..]) != testing::bits(&after[150 * 32..]));
}

/// For vectors x and y (a query and a key over d^(1/4)) the estimate of e^(x·y) has the relative variance (e^‖x+y‖² −
/// 1)/m with independent rows (Choromanski et al., lemma 2), and less with orthogonal rows. To first order, the error
/// of an output is then Σ a_j δ_j (v_j − c), with a_j the weights of attention and δ_j the relative errors. The
/// measured error must be below that bound, and a quarter with sixteen times as many features.
#[test]
fn approximates_attention_within_its_error_bound() {
    let mut errors = Vec::new();
    for n_features in [256, 4096] {
        let (mut error, mut bound) = (0.0, 0.0);
        for seed in 0..4 {
            let problem = Problem { level: Level::Core, causal: seed % 2 == 0, seed, ..PROBLEM };
            let mut case = PERFORMER.seeded_case(&problem, &params(n_features, 0)).unwrap();
            scaled(&mut case, "q", 0.4);
            scaled(&mut case, "k", 0.4);
            case.config.set("kernel_eps", 0.0);
            case.config.set("denominator_eps", 0.0);
            let exact = ATTENTION.reference(&case).unwrap();
            let got = testing::cpu(&PERFORMER, &case, &Serial);
            error += got.iter().zip(&exact).map(|(got, want)| (f64::from(*got) - want).abs()).sum::<f64>();
            bound += first_order_bound(&case, &exact);
        }
        assert!(error < bound, "{n_features} features: {error} {bound}");
        errors.push(error);
    }
    assert!((2.5..6.0).contains(&(errors[0] / errors[1])), "{errors:?}");
}

/// Σ over outputs of Σ_j a_j σ_j |v_j − c|.
fn first_order_bound(case: &Case, exact: &[f64]) -> f64 {
    let spec = Spec::read(case).unwrap();
    let [q, k, v] = spec.streams(&case.tensors).unwrap().map(widen);
    let (length, d, root) = (spec.dims.seq_len, spec.d_head, (spec.d_head as f64).sqrt());
    let mut bound = 0.0;
    for head in 0..spec.n_heads {
        let row = |stream: &[f64], t: usize| stream[t * 32 + head * d..][..d].to_vec();
        for i in 0..length {
            let visible = if spec.causal { i + 1 } else { length };
            let query = row(&q, i);
            let pairs: Vec<(f64, f64)> = (0..visible)
                .map(|j| {
                    let key = row(&k, j);
                    let dot: f64 = query.iter().zip(&key).map(|(a, b)| a * b / root).sum();
                    let sum: f64 = query.iter().zip(&key).map(|(a, b)| (a + b) * (a + b) / root).sum();
                    (dot.exp(), ((sum.exp() - 1.0) / spec.n_features as f64).sqrt())
                })
                .collect();
            let total: f64 = pairs.iter().map(|(weight, _)| weight).sum();
            for (j, (weight, deviation)) in pairs.iter().enumerate() {
                let apart = row(&v, j).iter().zip(&row(exact, i)).map(|(v, c)| (v - c).abs()).sum::<f64>();
                bound += weight / total * deviation * apart;
            }
        }
    }
    bound
}

testing::decode::decode_battery!(
    PERFORMER,
    "performer",
    |_: &Problem| vec![params(0, 0), params(1, 1), params(50, 0)],
    testing::decode::golden_definition
);

/// A case whose keys grow with the position, so that their largest projection rises.
fn rising(seq_len: usize, level: Level, most: f32) -> Case {
    let problem = Problem { seq_len, causal: true, level, ..PROBLEM };
    let mut case = PERFORMER.seeded_case(&problem, &params(12, 0)).unwrap();
    let name = if level == Level::Core { "k" } else { "x" };
    let Some(Tensor::F32 { shape, mut data }) = case.tensors.get(name).cloned() else { panic!("no {name}") };
    let width = shape[2];
    for (t, row) in data.chunks_exact_mut(width).enumerate() {
        row.iter_mut().for_each(|value| *value *= most * t as f32 / seq_len as f32);
    }
    case.tensors.insert(name, &shape, data);
    case
}

/// The inputs of the first `length` tokens of a case.
fn prefix(case: &Case, length: usize) -> Case {
    let mut cut = case.clone();
    cut.config.set("length", length);
    for name in ["q", "k", "v", "x"] {
        if let Some(Tensor::F32 { shape, data }) = case.tensors.get(name) {
            let [batch, whole, width] = shape[..] else { panic!("{shape:?}") };
            let rows = data.chunks_exact(whole * width).flat_map(|sequence| &sequence[..length * width]);
            cut.tensors.insert(name, &[batch, length, width], rows.copied().collect());
        }
    }
    cut
}

/// The definition of decoding: row t is the last row of the published form on the first t + 1 positions. The golden files'
/// own y is another function: there the maximum over the whole sequence moves ε and η against the exponentials of earlier
/// rows.
#[test]
fn decoding_is_the_last_row_of_each_prefix() {
    let golden = testing::goldens("performer").into_iter().map(|golden| golden.case);
    let rising = [Level::Core, Level::Layer].map(|level| rising(40, level, 4.0));
    for case in golden.filter(|case| Spec::read(case).unwrap().causal).chain(rising) {
        let Spec { dims: Dims { batch, seq_len, .. }, .. } = Spec::read(&case).unwrap();
        let decoded = PERFORMER.reference(&testing::decode::defined_for_decoding(&case)).unwrap();
        let width = decoded.len() / (batch * seq_len);
        for t in 0..seq_len {
            let want = PERFORMER.reference(&prefix(&case, t + 1)).unwrap();
            for sequence in 0..batch {
                let got = &decoded[(sequence * seq_len + t) * width..][..width];
                let want = &want[(sequence * (t + 1) + t) * width..][..width];
                for (got, want) in got.iter().zip(want) {
                    let deviation = (got - want).abs();
                    assert!(deviation < 1e-11 * (1.0 + want.abs()), "step {t}: {got} {want}");
                }
            }
        }
    }
}

/// Only ε and η see the maximum: without them it cancels, and decoding is the published form.
#[test]
fn without_eps_and_eta_decoding_is_the_published_form() {
    let mut case = rising(100, Level::Core, 4.0);
    case.config.set("kernel_eps", 0.0);
    case.config.set("denominator_eps", 0.0);
    let published = PERFORMER.reference(&case).unwrap();
    let decoded = PERFORMER.reference(&testing::decode::defined_for_decoding(&case)).unwrap();
    for (got, want) in decoded.iter().zip(&published) {
        assert!((got - want).abs() < 1e-10 * (1.0 + want.abs()), "{got} {want}");
    }
}

/// Whatever the maximum does, steps and chunks agree with the definition, and spot checks with the whole reference.
#[test]
fn decoding_follows_a_rising_maximum() {
    for (most, level) in [(1.0, Level::Layer), (8.0, Level::Core), (60.0, Level::Core)] {
        let case = rising(230, level, most);
        let defined = testing::decode::defined_for_decoding(&case);
        let want = PERFORMER.reference(&defined).unwrap();
        testing::decode::agree(&PERFORMER, &case, &want, INFO.tolerance);
        for max_flops in [1 << 24, 1 << 20, 1 << 12] {
            testing::spot_agrees(&PERFORMER, &defined, &want, mixer::SpotDraw { max_flops, ..testing::DRAW });
        }
    }
}

#[test]
fn invalid_parameters_are_errors_that_name_the_field() {
    let case = PERFORMER.seeded_case(&PROBLEM, &Params::new()).unwrap();
    let refused = |key: &str, value: Value| {
        let mut case = case.clone();
        case.config.set(key, value);
        match PERFORMER.reference(&case).unwrap_err() {
            MixerError::InvalidField { field, .. } => field,
            MixerError::TensorShape { name, .. } | MixerError::MissingTensor { name } => name,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused("nb_features", Value::Int(1 << 40)), "nb_features");
    assert_eq!(refused("nb_features", Value::Int(7)), "projection");
    assert_eq!(refused("inner", Value::Int(33)), "inner");
    assert_eq!(refused("heads", Value::Int(4)), "param.query.weight");
    assert_eq!(refused("kernel_eps", Value::Float(f64::NAN)), "kernel_eps");
    assert_eq!(refused("denominator_eps", Value::Float(-1.0)), "denominator_eps");
    assert_eq!(refused("qkv_bias", Value::Bool(true)), "param.query.bias");
    let mut huge = case.clone();
    huge.config.set("heads", 4096_usize);
    huge.config.set("head_dim", 4096_usize);
    let error = PERFORMER.reference(&huge).unwrap_err();
    assert!(matches!(error, MixerError::InvalidField { .. } | MixerError::TensorShape { .. }));
}

/// A case with an inner width that differs from the model's and with biases, which no race has.
fn unusual(problem: &Problem, d_head: usize, n_features: usize) -> Case {
    let mut case = PERFORMER.seeded_case(problem, &params(n_features, 0)).unwrap();
    let generator = Generator::new(problem.seed);
    let (inner, width) = (problem.n_heads * d_head, problem.d_model);
    case.config.set("head_dim", d_head);
    case.config.set("inner", inner);
    case.config.set("qkv_bias", true);
    for name in ["query", "key", "value"] {
        generator.uniform(&mut case.tensors, &format!("param.{name}.weight"), &[inner, width], 0.5).unwrap();
        generator.uniform(&mut case.tensors, &format!("param.{name}.bias"), &[inner], 0.5).unwrap();
    }
    generator.uniform(&mut case.tensors, "param.out.weight", &[width, inner], 0.5).unwrap();
    generator.unit(&mut case.tensors, "projection", &[n_features, d_head]).unwrap();
    case
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn agrees_with_the_reference_at_random(
        batch in 1_usize..3, seq_len in 1_usize..300, d_head in 1_usize..20, n_heads in 1_usize..4,
        n_features in 0_usize..90, ortho_scaling in 0_usize..2, causal in any::<bool>(), layer in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let level = if layer { Level::Layer } else { Level::Core };
        let problem = Problem { batch, seq_len, d_model: d_head * n_heads, n_heads, causal, level, seed, task: mixer::Task::Forward };
        testing::agrees_with_reference(&PERFORMER, &problem, &params(n_features, ortho_scaling));
    }

    #[test]
    fn any_inner_width_agrees_with_the_reference(
        batch in 1_usize..3, seq_len in 1_usize..200, d_head in 1_usize..40, n_features in 1_usize..50,
        causal in any::<bool>(), seed in any::<u64>(),
    ) {
        let problem = Problem { batch, seq_len, d_model: 12, n_heads: 3, causal, seed, ..PROBLEM };
        let case = unusual(&problem, d_head, n_features);
        let want = PERFORMER.reference(&case).unwrap();
        let deviation = INFO.tolerance.compare_f32(&testing::cpu(&PERFORMER, &case, &Threads(2)), &want);
        prop_assert!(deviation.pass, "{deviation:?}");
        testing::spot_agrees(&PERFORMER, &case, &want, testing::DRAW);
    }
}
