use mixer::{Params, Serial, Tensor};
use proptest::prelude::*;

use super::*;
use crate::testing::{self, PROBLEM, edge_problems};

#[test]
fn golden_parity() {
    testing::golden_parity(&BIGS, "bigs");
}

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&BIGS, "bigs");
}

/// The kernels in the golden files equal those computed from the parameters.
#[test]
fn the_kernels_equal_the_authors_kernels() {
    for golden in testing::goldens("bigs") {
        let spec = Spec::read(&golden.case).unwrap();
        for (direction, name) in Direction::BOTH.into_iter().zip(["k_f", "k_b"]) {
            let want = golden.case.tensors.floats(name, &[spec.dims.seq_len]).unwrap();
            let ssm = spec.ssm(&golden.case.tensors, direction).unwrap();
            let got = ssm.kernel(spec.dims.seq_len);
            for (got, want) in got.iter().zip(want) {
                let want = f64::from(*want);
                assert!((got - want).abs() <= 1e-6 * (1.0 + want.abs()), "{}: {got} {want}", golden.name);
            }
        }
    }
}

/// The convolution is the recurrence h ← Āh + B̄u, s = Re C·h + D u, run forward and, reversed, backward.
#[test]
fn the_convolution_is_the_recurrence() {
    let problem = Problem { level: Level::Core, seq_len: 150, d_model: 5, n_heads: 1, ..PROBLEM };
    let case = BIGS.seeded_case(&problem, &Params::new()).unwrap();
    let spec = Spec::read(&case).unwrap();
    let x = case.tensors.floats("x", &[1, 150, 10]).unwrap();
    let y = testing::cpu(&BIGS, &case, &Serial);
    for (index, direction) in Direction::BOTH.into_iter().enumerate() {
        let ssm = spec.ssm(&case.tensors, direction).unwrap();
        for channel in index * 5..(index + 1) * 5 {
            let mut states = vec![[0.0_f64; 2]; ssm.modes.len()];
            for step in 0..150 {
                let t = if direction == Direction::Forward { step } else { 149 - step };
                let u = f64::from(x[t * 10 + channel]);
                let mut s = ssm.skip * u;
                for (h, mode) in states.iter_mut().zip(&ssm.modes) {
                    *h = [mode.a[0] * h[0] - mode.a[1] * h[1] + u, mode.a[0] * h[1] + mode.a[1] * h[0]];
                    s += mode.c[0] * h[0] - mode.c[1] * h[1];
                }
                let got = f64::from(y[t * 10 + channel]);
                assert!((got - s).abs() < 1e-4 * (1.0 + s.abs()), "{direction:?} t {t}: {got} {s}");
            }
        }
    }
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    for problem in edge_problems() {
        for (gelu, pre_norm) in [("erf", true), ("tanh", false)] {
            let mut params = Params::new();
            params.set("gelu", gelu);
            params.set("pre_norm", pre_norm);
            params.set("num_ssm", 9_usize);
            testing::agrees_with_reference(&BIGS, &problem, &params);
        }
    }
}

#[test]
fn sequences_are_independent() {
    testing::batch_independent(&BIGS, &PROBLEM, &["x"]);
    testing::batch_independent(&BIGS, &Problem { level: Level::Core, ..PROBLEM }, &["x"]);
}

#[test]
fn stated_memory_equals_allocated_memory() {
    for level in [Level::Core, Level::Layer] {
        for seq_len in [1, 64, 1000, 4096] {
            testing::truthful_memory(&BIGS, &Problem { seq_len, level, ..PROBLEM }, 0.001);
        }
    }
    testing::refuses_what_does_not_fit(&BIGS, &PROBLEM);
}

#[test]
fn counted_functions_equal_the_closed_form() {
    testing::counts_its_functions::<Spec>(&BIGS, |_| vec![Params::new()]);
}

/// All operations but the convolutions are counted exactly. Convolutions are counted as direct sums, since the
/// reference uses no transform.
#[test]
fn counted_operations_equal_the_closed_form() {
    let check = |name: &str, case: &Case| {
        let spec = Spec::read(case).unwrap();
        let count = testing::operations(&BIGS, case);
        let length = spec.dims.seq_len as u64;
        let direct = 2 * (spec.dims.batch * spec.dims.d_model) as u64 * length * (length + 3);
        assert_eq!(count.flops, cost::other_flops(&spec).get() + direct, "{name}");
        assert_eq!(count.setup_flops, cost::kernel_flops(&spec).get(), "{name}");
    };
    for golden in testing::goldens("bigs") {
        check(&golden.name, &golden.case);
    }
    for problem in edge_problems() {
        check(&format!("{problem:?}"), &BIGS.seeded_case(&problem, &Params::new()).unwrap());
    }
}

#[test]
fn operations_grow_almost_linearly() {
    let at = |seq_len| {
        BIGS.cost(&Problem { seq_len, d_model: 256, ..PROBLEM }, &Params::new()).unwrap().flops as f64
    };
    let exponent = (at(65_536) / at(4096)).log2() / 4.0;
    assert!((1.0..1.1).contains(&exponent), "{exponent}");
}

#[test]
fn spot_rows_agree_at_length_65_536() {
    for level in [Level::Core, Level::Layer] {
        let problem = Problem { seq_len: 65_536, d_model: 8, level, ..PROBLEM };
        let case = BIGS.seeded_case(&problem, &Params::new()).unwrap();
        testing::passes_its_spot_check(&BIGS, &case, testing::DRAW);
    }
}

/// Each direction of the core depends only on its side of the sequence, linearly.
#[test]
fn each_direction_depends_only_on_its_side() {
    let problem = Problem { level: Level::Core, ..PROBLEM };
    let case = BIGS.seeded_case(&problem, &Params::new()).unwrap();
    let mut changed = case.clone();
    let Some(Tensor::F32 { shape, mut data }) = case.tensors.get("x").cloned() else { panic!() };
    data[40 * 64..41 * 64].iter_mut().for_each(|value| *value += 1.0);
    changed.tensors.insert("x", &shape, data);
    let (before, after) = (testing::cpu(&BIGS, &case, &Serial), testing::cpu(&BIGS, &changed, &Serial));
    for t in 0..64 {
        let moved = |channels: std::ops::Range<usize>| {
            channels.clone().any(|c| (before[t * 64 + c] - after[t * 64 + c]).abs() > 1e-3)
        };
        assert!(t >= 40 || !moved(0..32), "forward output {t} saw the future");
        assert!(t <= 40 || !moved(32..64), "backward output {t} saw the past");
    }
}

/// Zeros give zeros. A NaN reaches every output.
#[test]
fn fault_10_zero_and_nan_inputs() {
    let problem = Problem { level: Level::Core, ..PROBLEM };
    let mut case = BIGS.seeded_case(&problem, &Params::new()).unwrap();
    case.tensors.insert("x", &[1, 64, 64], vec![0.0; 64 * 64]);
    assert!(testing::cpu(&BIGS, &case, &Serial).iter().all(|&value| value == 0.0));
    let nan_in = |name: &str, shape: &[usize]| {
        let mut case = BIGS.seeded_case(&problem, &Params::new()).unwrap();
        case.tensors.insert(name, shape, vec![f32::NAN; shape.iter().product()]);
        testing::cpu(&BIGS, &case, &Serial)
    };
    assert!(nan_in("x", &[1, 64, 64]).iter().all(|value| value.is_nan()));
    // Poles are clamped, which must not hide a NaN.
    assert!(nan_in("param.fs4.A_re", &[64]).iter().any(|value| value.is_nan()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn agrees_with_the_reference_at_random(
        batch in 1_usize..3, seq_len in 1_usize..250, d_model in 1_usize..40, modes in 1_usize..70,
        expansion in 1_usize..4, pre_norm in any::<bool>(), layer in any::<bool>(), seed in any::<u64>(),
    ) {
        let level = if layer { Level::Layer } else { Level::Core };
        let mut params = Params::new();
        params.set("num_ssm", modes);
        params.set("expansion", expansion);
        params.set("pre_norm", pre_norm);
        let problem = Problem { batch, seq_len, d_model, n_heads: 1, causal: false, level, seed, task: mixer::Task::Forward };
        testing::agrees_with_reference(&BIGS, &problem, &params);
    }
}
