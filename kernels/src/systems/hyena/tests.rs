use mixer::{Params, Serial, SpotDraw, Tensor};
use proptest::prelude::*;

use super::*;
use crate::testing::{self, PROBLEM, edge_problems};

fn order(order: usize) -> Params {
    let mut params = Params::new();
    params.set("order", order);
    params
}

#[test]
fn golden_parity() {
    testing::golden_parity(&HYENA, "hyena");
}

/// Both methods, at a small network.
fn decoded(_: &Problem) -> Vec<Params> {
    let methods = Method::CHOICES.iter().flat_map(|method| [2, 3].map(|n| (*method, n)));
    let params = methods.map(|(method, n)| {
        let mut params = order(n);
        params.set("filter_order", 16_usize);
        params.set(Method::PARAM, method);
        params
    });
    params.collect()
}

testing::decode::decode_battery!(HYENA, "hyena", decoded);

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&HYENA, "hyena");
}

/// The filters in the golden files equal those computed from the parameters.
#[test]
fn the_filter_equals_the_authors_filter() {
    let mut checked = 0;
    for golden in testing::goldens("hyena") {
        let spec = Spec::read(&golden.case).unwrap();
        let (Some(filter), Some(Tensor::F32 { data: k, .. })) = (spec.filter, golden.case.tensors.get("k"))
        else {
            continue;
        };
        let length = spec.out_len();
        let h = filter::evaluate_f64(&filter, &golden.case.tensors, length).unwrap();
        for o in 0..spec.convolutions() {
            for channel in 0..spec.dims.d_model {
                for t in 0..length {
                    let want = f64::from(k[(o * spec.dims.d_model + channel) * length + t]);
                    let got = h[t * filter.channels + channel * spec.convolutions() + o];
                    assert!((got - want).abs() <= 1e-6 + 1e-6 * want.abs(), "{}: {got} {want}", golden.name);
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
        for n in [2, 3, 4] {
            testing::agrees_with_reference(&HYENA, &problem, &order(n));
        }
    }
}

#[test]
fn sequences_are_independent() {
    testing::batch_independent(&HYENA, &PROBLEM, &["x"]);
    testing::batch_independent(&HYENA, &Problem { level: Level::Core, ..PROBLEM }, &["x"]);
}

#[test]
fn stated_memory_equals_allocated_memory() {
    for level in [Level::Core, Level::Layer] {
        for seq_len in [64, 1000, 4096] {
            testing::truthful_memory(&HYENA, &Problem { seq_len, level, ..PROBLEM }, 0.001);
        }
    }
    testing::refuses_what_does_not_fit(&HYENA, &PROBLEM);
}

/// Operations of projections, gates and the short filter are counted exactly. Convolutions are counted as direct sums,
/// since the reference uses no transform.
#[test]
fn counted_operations_equal_the_closed_form() {
    for problem in edge_problems() {
        let case = HYENA.seeded_case(&problem, &Params::new()).unwrap();
        let spec = Spec::read(&case).unwrap();
        let count = testing::operations(&HYENA, &case);
        let length = spec.out_len() as u64;
        let direct =
            (spec.dims.batch * spec.convolutions() * spec.dims.d_model) as u64 * length * (length + 3);
        assert_eq!(count.flops, cost::other_flops(&spec).get() + direct, "{problem:?}");
        assert_eq!(count.setup_flops, spec.filter.map_or(0, |filter| filter.flops(spec.out_len()).get()));
    }
}

#[test]
fn operations_grow_almost_linearly() {
    let at = |seq_len| {
        HYENA.cost(&Problem { seq_len, d_model: 256, ..PROBLEM }, &Params::new()).unwrap().flops as f64
    };
    let exponent = (at(65_536) / at(4096)).log2() / 4.0;
    assert!((1.0..1.1).contains(&exponent), "{exponent}");
}

/// A length at which the transform recurses several times, checked where the reference can afford it.
#[test]
fn spot_rows_agree_at_length_20_000() {
    for level in [Level::Core, Level::Layer] {
        let problem = Problem { seq_len: 20_000, d_model: 16, level, ..PROBLEM };
        let case = HYENA.seeded_case(&problem, &Params::new()).unwrap();
        let draw = SpotDraw { max_flops: 1 << 28, ..testing::DRAW };
        let spot = testing::passes_its_spot_check(&HYENA, &case, draw);
        assert_eq!(spot.reach(20_000), 20_000, "{level:?}");
    }
}

/// A race of decoding checks generated tokens, however long their context is.
#[test]
fn generated_rows_are_checked_behind_a_long_context() {
    testing::checks_late_rows(&HYENA, &Params::new());
}

/// Zeros give zeros. A NaN reaches every later output of its channel.
#[test]
fn fault_10_zero_and_nan_inputs() {
    let problem = Problem { level: Level::Core, ..PROBLEM };
    let mut case = HYENA.seeded_case(&problem, &Params::new()).unwrap();
    let shape = [1, 64, 96];
    case.tensors.insert("x", &shape, vec![0.0; 64 * 96]);
    assert!(testing::cpu(&HYENA, &case, &Serial).iter().all(|&value| value == 0.0));
    case.tensors.insert("x", &shape, vec![f32::NAN; 64 * 96]);
    assert!(testing::cpu(&HYENA, &case, &Serial).iter().all(|value| value.is_nan()));
}

#[test]
fn an_even_number_of_features_is_an_error_that_names_the_field() {
    let mut params = Params::new();
    params.set("emb_dim", 32_usize);
    let error = HYENA.seeded_case(&PROBLEM, &params).unwrap_err();
    assert!(matches!(error, MixerError::InvalidField { field, .. } if field == "emb_dim"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn outputs_do_not_see_the_future(seq_len in 2_usize..200, cut in 0.0_f64..1.0, seed in any::<u64>()) {
        let t = ((seq_len as f64 * cut) as usize).min(seq_len - 1);
        testing::causal(&HYENA, &Problem { seq_len, seed, ..PROBLEM }, "x", t);
    }

    #[test]
    fn agrees_with_the_reference_at_random(
        batch in 1_usize..3, seq_len in 1_usize..300, d_model in 1_usize..40,
        n in 2_usize..5, layer in any::<bool>(), seed in any::<u64>(),
    ) {
        let level = if layer { Level::Layer } else { Level::Core };
        let problem = Problem { batch, seq_len, d_model, n_heads: 1, causal: true, level, seed, task: mixer::Task::Forward };
        testing::agrees_with_reference(&HYENA, &problem, &order(n));
    }
}
