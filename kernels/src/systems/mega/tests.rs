use mixer::{Case, Level, MixerError, NoDecode, Params, Serial, Task, Tensor};
use proptest::prelude::*;

use super::*;
use crate::testing::{self, PROBLEM, edge_problems};

fn with(values: &[(&str, mixer::Value)]) -> Params {
    let mut params = Params::new();
    for (name, value) in values {
        params.set(*name, value.clone());
    }
    params
}

fn chunk(size: usize) -> Params {
    with(&[("chunk_size", size.into())])
}

#[test]
fn golden_parity() {
    testing::golden_parity(&MEGA, "mega");
}

testing::decode::decode_battery!(MEGA, "mega", |problem: &Problem| {
    // At core level outputs have the width of the model, as the battery expects, where values do.
    let form = |values: &[(&str, mixer::Value)]| {
        let mut params = with(values);
        params.set("expansion", 1_usize);
        params
    };
    let mut forms = vec![
        form(&[("chunk_size", 10_usize.into())]),
        form(&[("use_chunking", false.into()), ("relative_positional_bias", "simple".into())]),
        form(&[("attention_activation", "relu2".into()), ("normalize_before_mega", false.into())]),
        form(&[("core", "ema".into())]),
        form(&[("core", "ema".into()), ("truncation", 5_usize.into())]),
    ];
    // A single key far in the Laplace function's tail weighs 10⁻¹⁵, which 1 + erf rounds to zero in f32, in the forward
    // pass as well: with one token that is the whole output.
    if problem.seq_len > 1 {
        let laplace = ("attention_activation", "laplace".into());
        forms.push(form(&[laplace, ("normalization_type", "layernorm".into())]));
    }
    forms
});

/// What sees later tokens does not decode.
#[test]
fn bidirectional_forms_do_not_decode() {
    for (level, core) in [(Level::Core, "attention"), (Level::Core, "ema"), (Level::Layer, "ema")] {
        let problem = Problem { causal: false, level, ..PROBLEM };
        let case = MEGA.seeded_case(&problem, &with(&[("core", core.into())])).unwrap();
        let refused = MEGA.token_inputs(&case);
        assert!(matches!(refused, Err(MixerError::NoDecode { why: NoDecode::NotCausal, .. })), "{refused:?}");
    }
}

/// The cost of a step is the mean over the steps of a run: whole chunks cost as their forward pass.
#[test]
fn a_step_costs_the_mean_over_the_run() {
    let problem = |seq_len, task| Problem { seq_len, task, level: Level::Core, ..PROBLEM };
    let flops = |problem: Problem| MEGA.cost(&problem, &chunk(16)).unwrap().flops;
    let step = flops(problem(32, Task::Decode { tokens: 64 }));
    assert_eq!(64 * step, flops(problem(64, Task::Forward)));
}

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&MEGA, "mega");
}

/// The average's kernels that golden files store are the ones that the parameters give.
#[test]
fn the_kernels_equal_the_authors_kernels() {
    let mut checked = 0;
    for golden in testing::goldens("mega") {
        let ema = match Spec::read(&golden.case).unwrap() {
            Spec::Ema(spec) => spec,
            Spec::Layer(spec) => spec.ema,
            Spec::Attention(_) => continue,
        };
        let Some(Tensor::F32 { data, .. }) = golden.case.tensors.get("ema_kernel") else { continue };
        let dimensions = ema::dimensions(&ema, &golden.case.tensors).unwrap();
        for (want, dimensions) in data.chunks_exact(ema.lags()).zip(dimensions.chunks_exact(ema.n)) {
            for (got, want) in ema::kernel(dimensions, ema.lags()).iter().zip(want) {
                assert!((got - f64::from(*want)).abs() < 1e-6, "{}: {got} {want}", golden.name);
                checked += 1;
            }
        }
    }
    assert!(checked > 0);
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    for problem in edge_problems() {
        testing::agrees_with_reference(&MEGA, &problem, &chunk(50));
        let other = with(&[
            ("attention_activation", "laplace".into()),
            ("relative_positional_bias", "simple".into()),
            ("normalization_type", "layernorm".into()),
            ("normalize_before_mega", false.into()),
            ("use_chunking", false.into()),
            ("truncation", 5_usize.into()),
            ("core", "ema".into()),
        ]);
        testing::agrees_with_reference(&MEGA, &problem, &other);
    }
}

#[test]
fn sequences_are_independent() {
    testing::batch_independent(&MEGA, &PROBLEM, &["x"]);
    testing::batch_independent(&MEGA, &Problem { level: Level::Core, ..PROBLEM }, &["q", "k", "v"]);
}

#[test]
fn stated_memory_equals_allocated_memory() {
    for level in [Level::Core, Level::Layer] {
        for seq_len in [1, 64, 1000] {
            for causal in [false, true] {
                testing::truthful_memory(&MEGA, &Problem { seq_len, level, causal, ..PROBLEM }, 0.001);
            }
        }
    }
    testing::refuses_what_does_not_fit(&MEGA, &PROBLEM);
}

/// Operations are counted exactly. A truncated average is counted as direct sums, since the reference uses no
/// transform.
#[test]
fn counted_operations_equal_the_closed_form() {
    let check = |name: &str, case: &Case| {
        let spec = Spec::read(case).unwrap();
        let count = testing::operations(&MEGA, case);
        let want = match spec {
            Spec::Ema(ema) | Spec::Layer(LayerSpec { ema, .. }) if ema.truncation.is_some() => {
                cost::other_flops(&spec) + cost::direct_average_flops(&ema)
            }
            _ => cost::flops(&spec),
        };
        assert_eq!(count.flops, want.get(), "{name}");
        assert_eq!(count.setup_flops, cost::setup_flops(&spec).get(), "{name}");
    };
    for golden in testing::goldens("mega") {
        check(&golden.name, &golden.case);
    }
    for problem in edge_problems() {
        check(&format!("{problem:?}"), &MEGA.seeded_case(&problem, &chunk(50)).unwrap());
    }
}

#[test]
fn counted_functions_equal_the_closed_form() {
    let of = |activation: &str, core: &str| {
        with(&[
            ("chunk_size", 50_usize.into()),
            ("attention_activation", activation.into()),
            ("core", core.into()),
        ])
    };
    testing::counts_its_functions::<Spec>(&MEGA, |_| {
        vec![
            of("softmax", "attention"),
            of("laplace", "attention"),
            of("relu2", "attention"),
            of("softmax", "ema"),
        ]
    });
}

#[test]
fn operations_grow_linearly_with_chunks() {
    let at = |seq_len| {
        MEGA.cost(&Problem { seq_len, d_model: 256, ..PROBLEM }, &Params::new()).unwrap().flops as f64
    };
    assert_eq!(at(65_536), 16.0 * at(4096));
}

#[test]
fn spot_rows_agree_at_length_65_536() {
    for (level, causal) in [(Level::Core, true), (Level::Layer, true), (Level::Layer, false)] {
        let problem = Problem { seq_len: 65_536, d_model: 8, level, causal, ..PROBLEM };
        let case = MEGA.seeded_case(&problem, &Params::new()).unwrap();
        let rows = testing::passes_its_spot_check(&MEGA, &case, testing::DRAW).rows;
        assert!(rows.contains(&65_535), "{level:?} {rows:?}");
    }
}

/// A chunk as long as the sequence equals attention without chunks.
#[test]
fn one_chunk_is_plain_attention() {
    let plain = with(&[("use_chunking", false.into())]);
    for level in [Level::Core, Level::Layer] {
        let problem = Problem { level, ..PROBLEM };
        let got = |params| testing::cpu(&MEGA, &MEGA.seeded_case(&problem, params).unwrap(), &Serial);
        assert_eq!(testing::bits(&got(&plain)), testing::bits(&got(&chunk(64))));
    }
}

/// Only the average crosses the boundary of a chunk: at core level a chunk does not depend on other chunks.
#[test]
fn chunks_are_independent() {
    let problem = Problem { level: Level::Core, causal: false, ..PROBLEM };
    let case = MEGA.seeded_case(&problem, &chunk(16)).unwrap();
    let mut changed = case.clone();
    for (name, width) in [("k", 64), ("v", 64)] {
        let Some(Tensor::F32 { shape, mut data }) = case.tensors.get(name).cloned() else { panic!() };
        data[16 * width..32 * width].iter_mut().for_each(|value| *value += 1.0);
        changed.tensors.insert(name, &shape, data);
    }
    let (before, after) = (testing::cpu(&MEGA, &case, &Serial), testing::cpu(&MEGA, &changed, &Serial));
    for (t, (before, after)) in before.chunks_exact(64).zip(after.chunks_exact(64)).enumerate() {
        assert_eq!(before == after, !(16..32).contains(&t), "position {t}");
    }
}

/// The output of a short last chunk, computed alone, equals the reference's output for a padded and masked chunk.
#[test]
fn a_short_last_chunk_equals_a_padded_one() {
    for activation in ["softmax", "laplace", "relu2"] {
        let params = with(&[("chunk_size", 20_usize.into()), ("attention_activation", activation.into())]);
        let problem = Problem { level: Level::Core, causal: false, seq_len: 50, ..PROBLEM };
        let case = MEGA.seeded_case(&problem, &params).unwrap();
        let whole = testing::cpu(&MEGA, &case, &Serial);
        let mut last = case.clone();
        last.config.set("length", 10_usize);
        for name in ["q", "k", "v"] {
            let Some(Tensor::F32 { data, .. }) = case.tensors.get(name) else { panic!() };
            last.tensors.insert(name, &[1, 10, 64], data[40 * 64..].to_vec());
        }
        let alone = testing::cpu(&MEGA, &last, &Serial);
        assert!(whole[40 * 64..].iter().zip(&alone).all(|(a, b)| (a - b).abs() <= 1e-6 * (1.0 + b.abs())));
    }
}

/// The recurrence agrees with the convolution of nearly all lags.
#[test]
fn truncation_to_the_whole_length_changes_nothing() {
    let problem = Problem { level: Level::Core, causal: false, ..PROBLEM };
    let got = |lags: usize| {
        let params = with(&[("core", "ema".into()), ("truncation", lags.into())]);
        testing::cpu(&MEGA, &MEGA.seeded_case(&problem, &params).unwrap(), &Serial)
    };
    // 63 of 64 lags by FFT, all lags by recurrence: the last power is far below rounding.
    assert!(got(63).iter().zip(&got(0)).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn invalid_parameters_are_errors_that_name_the_field() {
    let refused = |params: &Params| match MEGA.seeded_case(&PROBLEM, params) {
        Err(MixerError::InvalidField { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(&with(&[("shared_representation_size", 7_usize.into())])),
        "shared_representation_size"
    );
    assert_eq!(refused(&chunk(0)), "chunk_size");
    let mut case = MEGA.seeded_case(&PROBLEM, &chunk(16)).unwrap();
    case.config.set("relative_positional_bias", "simple");
    case.config.set("use_chunking", false);
    case.config.set("max_positions", 63_usize);
    assert!(
        matches!(Spec::read(&case), Err(MixerError::InvalidField { field, .. }) if field == "max_positions")
    );
}

/// Zeros give zeros. A NaN reaches the output.
#[test]
fn fault_10_zero_and_nan_inputs() {
    let problem = Problem { level: Level::Core, ..PROBLEM };
    for activation in ["softmax", "laplace", "relu2"] {
        let params = with(&[("attention_activation", activation.into())]);
        let mut case = MEGA.seeded_case(&problem, &params).unwrap();
        case.tensors.insert("v", &[1, 64, 64], vec![0.0; 64 * 64]);
        assert!(testing::cpu(&MEGA, &case, &Serial).iter().all(|&value| value == 0.0));
        case.tensors.insert("v", &[1, 64, 64], vec![f32::NAN; 64 * 64]);
        assert!(testing::cpu(&MEGA, &case, &Serial).iter().all(|value| value.is_nan()), "{activation}");
    }
}

/// Stated if one chunk holds the whole sequence. Without chunks there is no sparse pattern, and the average alone has
/// no pairs.
#[test]
fn full_attention_is_stated_for_a_single_chunk() {
    for level in [Level::Core, Level::Layer] {
        for causal in [false, true] {
            let at = |seq_len: usize, params: &Params| {
                let problem = Problem { batch: 1, seq_len, level, causal, ..PROBLEM };
                let spec = Spec::race(&problem, params).unwrap();
                let every = (if causal { seq_len * (seq_len + 1) / 2 } else { seq_len * seq_len }) as u64;
                let covered = spec.attention().map(|spec| spec.pairs().get() == every);
                (MEGA.cost(&problem, params).unwrap().full_attention, covered)
            };
            for (seq_len, full) in [(1, true), (127, true), (128, true), (129, false), (4096, false)] {
                assert_eq!(at(seq_len, &Params::new()), (full, Some(full)), "{seq_len}");
            }
            assert_eq!(at(128, &with(&[("use_chunking", false.into())])), (false, Some(true)));
            if level == Level::Core {
                assert_eq!(at(16, &with(&[("core", "ema".into())])), (false, None));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn causal_outputs_do_not_see_the_future(seq_len in 2_usize..300, cut in 0.0_f64..1.0, seed in any::<u64>()) {
        let t = ((seq_len as f64 * cut) as usize).min(seq_len - 1);
        testing::causal(&MEGA, &Problem { seq_len, seed, ..PROBLEM }, "x", t);
    }

    #[test]
    fn agrees_with_the_reference_at_random(
        batch in 1_usize..3, seq_len in 1_usize..200, d_model in 1_usize..32, size in 1_usize..220,
        activation in 0_usize..3, simple in any::<bool>(), truncation in 0_usize..30, n in 1_usize..20,
        z in 1_usize..20, causal in any::<bool>(), kind in 0_usize..3, seed in any::<u64>(),
    ) {
        let params = with(&[
            ("chunk_size", size.into()),
            ("attention_activation", ["softmax", "laplace", "relu2"][activation].into()),
            ("relative_positional_bias", ["rotary", "simple"][usize::from(simple)].into()),
            ("truncation", truncation.into()),
            ("ema_projection_size", n.into()),
            ("shared_representation_size", (2 * z).into()),
            ("core", ["attention", "ema"][kind % 2].into()),
        ]);
        let level = if kind == 2 { Level::Layer } else { Level::Core };
        let problem = Problem { batch, seq_len, d_model, n_heads: 1, causal, level, seed, task: mixer::Task::Forward };
        testing::agrees_with_reference(&MEGA, &problem, &params);
    }
}
