use mixer::{Level, Memory, OpCount, Params, Serial, Tensor};
use proptest::prelude::*;

use super::*;
use crate::ops::exact::{linear, widen};
use crate::systems::attention::ATTENTION;
use crate::testing::{self, PROBLEM, Threads, edge_problems};

const CORE: Problem = Problem { level: Level::Core, ..PROBLEM };

fn params(chunk_length: usize, num_hashes: usize) -> Params {
    let mut params = Params::new();
    params.set("chunk_length", chunk_length);
    params.set("num_hashes", num_hashes);
    params
}

fn local(chunk_length: usize) -> Params {
    let mut params = params(chunk_length, 1);
    params.set("kind", "local");
    params
}

/// The case without its bucket numbers, so that the reference hashes.
fn unhashed(case: &Case) -> Case {
    let mut tensors = Tensors::new();
    for (name, tensor) in case.tensors.iter().filter(|(name, _)| *name != "mid.buckets") {
        match tensor {
            Tensor::F32 { shape, data } => tensors.insert(name, shape, data.clone()),
            Tensor::I32 { shape, data } => tensors.insert_i32(name, shape, data.clone()),
        }
    }
    Case { tensors, ..case.clone() }
}

#[test]
fn golden_parity() {
    testing::golden_parity(&REFORMER, "reformer");
}

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&REFORMER, "reformer");
}

/// The files state the authors' bucket numbers: the hashes in f64 and in the kernel give exactly these.
#[test]
fn buckets_equal_the_authors_buckets() {
    let mut checked = 0;
    for golden in testing::goldens("reformer") {
        let spec = Spec::read(&golden.case).unwrap();
        let Some(hashing) = &spec.hashing else { continue };
        let want = golden.case.tensors.indices("mid.buckets", &spec.buckets_shape(hashing)).unwrap();
        let (length, width, d_head) = (spec.base.dims.seq_len, spec.base.dims.d_model, spec.base.d_head());
        let u = match spec.base.level {
            Level::Core => widen(spec.streams(&golden.case.tensors).unwrap()[0]),
            Level::Layer => {
                let x = widen(spec.base.input(&golden.case.tensors).unwrap());
                let weight = spec.base.projection(&golden.case.tensors, "query_key").unwrap().0;
                linear(&x, weight, None, width, &mut OpCount::default())
            }
        };
        let narrow: Vec<f32> = u.iter().map(|&value| value as f32).collect();
        let memory = Memory::new(testing::GIB);
        let mut hasher = hash::Hasher::new(&spec, &golden.case, &memory, 1).unwrap().unwrap();
        hasher.hash(&narrow, &Serial);
        for sequence in 0..spec.base.dims.batch {
            for head in 0..spec.base.n_heads {
                let at = |position: usize| exact_hash::Channels {
                    values: u[(sequence * length + position) * width + head * d_head..][..d_head].to_vec(),
                    error: 0.0,
                };
                let got = exact_hash::hashed(&spec, hashing, &golden.case, head, at, &mut OpCount::default())
                    .unwrap();
                let first = (sequence * spec.base.n_heads + head) * hashing.rounds;
                for (index, bucket) in got.into_iter().enumerate() {
                    let (round, position) = (first + index / length, index % length);
                    let want = u32::try_from(want[round * length + position]).unwrap();
                    assert_eq!(bucket, want as usize, "{}: f64", golden.name);
                    let kernel = hasher.buckets()[round * spec.padded() + position];
                    assert_eq!(kernel, want, "{}: kernel", golden.name);
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 5000, "{checked}");
}

/// The reference rejects a bucket that its own hash would not give: one wrong number, or a consistently wrong hash, is
/// an error in full checks and at lengths where only some positions are hashed again.
#[test]
fn fault_11_a_wrong_hash_is_an_error() {
    for level in [Level::Core, Level::Layer] {
        for (seq_len, rounds) in [(100, 2), (2000, 1)] {
            let problem = Problem { seq_len, level, ..PROBLEM };
            let case = REFORMER.seeded_case(&problem, &params(16, rounds)).unwrap();
            let refused = |change: &dyn Fn(usize, i32) -> i32| {
                let Some(Tensor::I32 { shape, data }) = case.tensors.get("mid.buckets").cloned() else {
                    panic!("no buckets")
                };
                let mut changed = case.clone();
                let data = data.into_iter().enumerate().map(|(at, bucket)| change(at, bucket)).collect();
                changed.tensors.insert_i32("mid.buckets", &shape, data);
                let whole = REFORMER.reference(&changed);
                let spot = REFORMER.spot_check(&changed, testing::DRAW);
                let is_refusal = |error: Option<MixerError>| matches!(error, Some(MixerError::InvalidField { field, .. }) if field == "mid.buckets");
                (is_refusal(whole.err()), is_refusal(spot.err()))
            };
            let spec = Spec::read(&case).unwrap();
            let buckets = i32::try_from(spec.hashing.as_ref().unwrap().buckets()).unwrap();
            assert_eq!(refused(&|_, bucket| bucket), (false, false));
            assert_eq!(refused(&|_, bucket| (bucket + 1) % buckets), (true, true));
            assert_eq!(refused(&|_, bucket| bucket ^ 1), (true, true));
            assert_eq!(refused(&|_, _| buckets), (true, true));
            assert_eq!(refused(&|_, bucket| -1 - bucket), (true, true));
            assert!(refused(&|at, bucket| if at == 77 { (bucket + 1) % buckets } else { bucket }).0);
        }
    }
}

/// If all products tie, f32 may find any bucket; beyond rounding it may not.
#[test]
fn a_tie_may_fall_either_way_and_a_near_tie_only_within_rounding() {
    let mut case = REFORMER.seeded_case(&Problem { seq_len: 64, ..CORE }, &params(16, 1)).unwrap();
    case.config.set("num_buckets", 4_usize);
    let reads = |apart: f32, bucket: i32| {
        let mut case = case.clone();
        // Two columns with the relative difference `apart`.
        let rotations = (0..2 * 16).flat_map(|_| [1.0, 1.0 + apart]).collect();
        case.tensors.insert("rotations", &[2, 16, 1, 2], rotations);
        case.tensors.insert("qk", &[1, 64, 32], vec![1.0; 64 * 32]);
        case.tensors.insert_i32("mid.buckets", &[1, 2, 1, 64], vec![bucket; 2 * 64]);
        REFORMER.reference(&case).is_ok()
    };
    assert_eq!([0, 1, 2, 3].map(|bucket| reads(0.0, bucket)), [true, true, false, false]);
    assert_eq!([0, 1].map(|bucket| reads(1e-7, bucket)), [true, true]);
    assert_eq!([0, 1].map(|bucket| reads(1e-4, bucket)), [false, true]);
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    for problem in edge_problems() {
        for (chunk, rounds) in [(1, 1), (5, 3), (8, 2), (16, 4), (64, 4)] {
            testing::agrees_with_reference(&REFORMER, &problem, &params(chunk, rounds));
        }
        testing::agrees_with_reference(&REFORMER, &problem, &local(12));
    }
}

/// Chunks longer than a query block, rings longer than a key tile, and more visible chunks than exist.
#[test]
fn wide_views_agree_with_the_reference() {
    for (seq_len, chunk, before, after) in
        [(500, 100, 1_usize, 1_usize), (700, 64, 2, 1), (40, 16, 3, 2), (50, 7, 8, 8)]
    {
        for causal in [false, true] {
            for kind in KINDS {
                let mut params = params(chunk, 2);
                params.set("chunks_before", before);
                params.set("chunks_after", after);
                params.set("kind", kind);
                testing::agrees_with_reference(&REFORMER, &Problem { seq_len, causal, ..CORE }, &params);
            }
        }
    }
}

/// A local sequence of one chunk is plain attention.
#[test]
fn one_local_chunk_is_attention() {
    for causal in [false, true] {
        let problem = Problem { causal, ..CORE };
        let case = REFORMER.seeded_case(&problem, &local(64)).unwrap();
        let want = ATTENTION.reference(&case).unwrap();
        assert!(INFO.tolerance.compare_f32(&testing::cpu(&REFORMER, &case, &Serial), &want).pass);
    }
}

/// In a hashed sequence of two chunks, every query sees every other position once per round, whatever its buckets:
/// hashing changes nothing.
#[test]
fn a_view_of_everything_does_not_depend_on_the_hash() {
    let problem = Problem { causal: false, ..CORE };
    let case = REFORMER.seeded_case(&problem, &params(32, 1)).unwrap();
    let mut other = case.clone();
    let rotations = vec![0.5; 2 * 16 * 2];
    other.tensors.insert("rotations", &[2, 16, 1, 2], rotations);
    let (a, b) = (testing::cpu(&REFORMER, &case, &Serial), testing::cpu(&REFORMER, &other, &Serial));
    let want: Vec<f64> = b.iter().map(|&value| f64::from(value)).collect();
    assert!(INFO.tolerance.compare_f32(&a, &want).pass);
}

/// Stated exactly where every query's list holds each position equally often, whatever the buckets. With the defaults
/// that is a single chunk: 64 positions.
#[test]
fn full_attention_is_stated_where_all_pairs_are_seen() {
    let mut wide = params(16, 2);
    wide.set("chunks_before", 5_usize);
    let table = [
        (Params::new(), vec![(1, true), (64, true), (65, false), (128, false), (640, false)]),
        (local(64), vec![(64, true), (128, true), (129, false)]),
        (params(32, 1), vec![(32, true), (64, true), (65, false)]),
        (wide, vec![(16, true), (32, false), (48, true), (49, false)]),
    ];
    for (params, lengths) in table {
        for (seq_len, full) in lengths {
            let problem = Problem { seq_len, causal: false, ..CORE };
            let spec = Spec::race(&problem, &params).unwrap();
            let buckets: Vec<usize> =
                (0..spec.rounds() * seq_len).map(|i| (i * 7 + i / 5 + i / seq_len * 3) % 4).collect();
            let list = reference::List::new(&spec, spec.hashing.as_ref().map(|_| buckets.as_slice()));
            let sees_all = |i| {
                let mut times = vec![0; seq_len];
                list.keys(&spec, i).into_iter().filter(|&j| j < seq_len).for_each(|j| times[j] += 1);
                times.iter().all(|&n| n > 0 && n == times[0])
            };
            assert_eq!((0..seq_len).all(sees_all), full, "{seq_len} {params:?}");
            assert_eq!(
                REFORMER.cost(&problem, &params).unwrap().full_attention,
                full,
                "{seq_len} {params:?}"
            );
        }
    }
}

/// With all positions in one bucket, sorted order is natural order, so a round is local attention without the own key.
#[test]
fn one_bucket_is_natural_order() {
    let problem = Problem { seq_len: 128, causal: true, ..CORE };
    let mut case = REFORMER.seeded_case(&problem, &params(16, 1)).unwrap();
    case.config.set("num_buckets", 2_usize);
    case.tensors.insert("rotations", &[2, 16, 1, 1], vec![0.0; 32]);
    let spec = Spec::read(&case).unwrap();
    let memory = Memory::new(testing::GIB);
    let mut hasher = hash::Hasher::new(&spec, &case, &memory, 1).unwrap().unwrap();
    hasher.hash(spec.streams(&case.tensors).unwrap()[0], &Serial);
    hasher.sort(&Serial);
    assert!(hasher.order().entries().chunks_exact(128).all(|order| order.iter().copied().eq(0..128)));
    let case = unhashed(&case);
    let want = REFORMER.reference(&case).unwrap();
    assert!(INFO.tolerance.compare_f32(&testing::cpu(&REFORMER, &case, &Serial), &want).pass);
}

/// Sorted order and chunks depend on all positions, so hashed attention is causal only in its values: with fixed
/// queries and keys, the output at i does not depend on v at j > i, bit for bit.
#[test]
fn causal_outputs_do_not_see_later_values() {
    for (seq_len, rounds) in [(128, 1), (200, 3), (50, 2)] {
        let problem = Problem { seq_len, causal: true, ..CORE };
        let case = REFORMER.seeded_case(&problem, &params(16, rounds)).unwrap();
        let before = testing::cpu(&REFORMER, &case, &Serial);
        for t in [1, seq_len / 2, seq_len - 1] {
            let mut changed = case.clone();
            let Some(Tensor::F32 { shape, mut data }) = case.tensors.get("v").cloned() else {
                panic!("no v")
            };
            data[t * 32..].iter_mut().for_each(|value| *value += 1.0);
            changed.tensors.insert("v", &shape, data);
            let after = testing::cpu(&REFORMER, &changed, &Serial);
            assert!(testing::bits(&before[..t * 32]) == testing::bits(&after[..t * 32]));
            // The last position avoids its own key, so no query sees its value.
            assert_eq!(testing::bits(&before) == testing::bits(&after), t == seq_len - 1);
        }
    }
}

/// Strictly causal without sorting: local attention, and hashed attention of one chunk.
#[test]
fn unsorted_outputs_do_not_see_the_future() {
    let mut params = Params::new();
    for (kind, chunk) in [("local", 16_usize), ("lsh", 64)] {
        params.set("kind", kind);
        params.set("chunk_length", chunk);
        let case = REFORMER.seeded_case(&PROBLEM, &params).unwrap();
        let before = testing::cpu(&REFORMER, &case, &Serial);
        for t in [1, 20, 63] {
            let mut changed = case.clone();
            let Some(Tensor::F32 { shape, mut data }) = case.tensors.get("x").cloned() else {
                panic!("no x")
            };
            data[t * 32..][..32].iter_mut().for_each(|value| *value += 1.0);
            changed.tensors.insert("x", &shape, data);
            let after = testing::cpu(&REFORMER, &changed, &Serial);
            assert!(testing::bits(&before[..t * 32]) == testing::bits(&after[..t * 32]));
            assert!(testing::bits(&before[t * 32..]) != testing::bits(&after[t * 32..]));
        }
    }
}

/// A position that sees only itself returns its own value after many rounds too: nothing is rounded near −10⁵.
#[test]
fn a_position_that_sees_only_itself_returns_its_value() {
    let problem = Problem { seq_len: 200, causal: true, ..CORE };
    let case = REFORMER.seeded_case(&problem, &params(16, 8)).unwrap();
    let got = testing::cpu(&REFORMER, &case, &Serial);
    let v = case.tensors.floats("v", &[1, 200, 32]).unwrap();
    for (got, want) in got[..32].iter().zip(v) {
        assert!((got - want).abs() <= 1e-6 * want.abs(), "{got} {want}");
    }
}

#[test]
fn sequences_are_independent() {
    for causal in [false, true] {
        let problem = Problem { seq_len: 200, causal, ..PROBLEM };
        testing::batch_independent(&REFORMER, &problem, &["x", "mid.buckets"]);
        let problem = Problem { level: Level::Core, ..problem };
        testing::batch_independent(&REFORMER, &problem, &["qk", "v", "mid.buckets"]);
    }
}

#[test]
fn outputs_do_not_depend_on_the_number_of_threads() {
    let case = REFORMER.seeded_case(&Problem { seq_len: 1000, ..PROBLEM }, &params(16, 2)).unwrap();
    let one = testing::cpu(&REFORMER, &case, &Serial);
    for threads in [2, 5] {
        assert!(testing::bits(&one) == testing::bits(&testing::cpu(&REFORMER, &case, &Threads(threads))));
    }
}

#[test]
fn stated_memory_equals_allocated_memory() {
    testing::states_its_memory(&REFORMER, &[true]);
}

#[test]
fn counted_operations_equal_the_closed_form() {
    for problem in edge_problems() {
        for params in [params(5, 3), params(16, 2), params(64, 4), local(12)] {
            let case = unhashed(&REFORMER.seeded_case(&problem, &params).unwrap());
            let count = testing::operations(&REFORMER, &case);
            assert_eq!(
                count.flops,
                REFORMER.cost(&problem, &params).unwrap().flops,
                "{problem:?} {params:?}"
            );
        }
    }
}

/// Memory is linear. Operations are linear but for the buckets, whose number grows with the root of the length.
#[test]
fn cost_and_memory_are_almost_linear() {
    testing::costs_linearly(&REFORMER, 24.0);
}

/// The reference's rule for the number of buckets.
#[test]
fn buckets_follow_the_rule() {
    assert_eq!(default_factors(256, 16), vec![32]);
    assert_eq!(default_factors(224, 32), vec![8]);
    assert_eq!(default_factors(4096, 64), vec![128]);
    assert_eq!(default_factors(65_536, 64), vec![32, 64]);
    assert_eq!(default_factors(16, 16), vec![2]);
}

#[test]
fn spot_rows_agree_at_length_65_536() {
    for (level, causal) in [(Level::Core, false), (Level::Core, true), (Level::Layer, false)] {
        let problem = Problem { seq_len: 65_536, d_model: 16, n_heads: 2, level, causal, ..PROBLEM };
        testing::agrees_at_length(&REFORMER, &problem, &params(64, 2));
    }
}

#[test]
fn invalid_parameters_are_errors_that_name_the_field() {
    let case = REFORMER.seeded_case(&PROBLEM, &params(16, 2)).unwrap();
    let refused = |key: &str, value: Value| {
        let mut case = case.clone();
        case.config.set(key, value);
        match REFORMER.reference(&case).unwrap_err() {
            MixerError::InvalidField { field, .. } => field,
            MixerError::TensorShape { name, .. } => name,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused("num_buckets", Value::Int(7)), "num_buckets");
    assert_eq!(refused("num_buckets", Value::List(vec![Value::Int(4), Value::Int(0)])), "num_buckets");
    assert_eq!(refused("num_buckets", Value::List(vec![])), "num_buckets");
    assert_eq!(
        refused("num_buckets", Value::List(vec![Value::Int(1 << 40), Value::Int(1 << 40)])),
        "num_buckets"
    );
    assert_eq!(refused("num_buckets", Value::Int(4)), "rotations");
    assert_eq!(refused("padded_length", Value::Int(80)), "padded_length");
    assert_eq!(refused("chunk_length", Value::Int(0)), "chunk_length");
    assert_eq!(refused("chunks_before", Value::Int(1 << 20)), "chunks_before");
    assert_eq!(refused("kind", Value::Text("constructor".into())), "kind");
    let mut odd = Params::new();
    odd.set("num_buckets", 3_usize);
    assert!(matches!(REFORMER.cost(&PROBLEM, &odd), Err(MixerError::InvalidField { .. })));
}

#[test]
fn the_gpu_plan_is_linear_and_fits_guaranteed_limits() {
    testing::plans_linearly(&REFORMER, 1.6);
}

#[test]
fn fault_10_constant_huge_and_nan_inputs() {
    testing::averages_constants_and_shows_nan(&REFORMER, &params(16, 2), &["qk", "v"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn agrees_with_the_reference_at_random(
        batch in 1_usize..3, seq_len in 1_usize..300, d_head in 1_usize..20, n_heads in 1_usize..4,
        chunk in 1_usize..70, rounds in 1_usize..4, half_buckets in 0_usize..9, before in 0_usize..3, after in 0_usize..3,
        is_local in any::<bool>(), causal in any::<bool>(), layer in any::<bool>(), seed in any::<u64>(),
    ) {
        let level = if layer { Level::Layer } else { Level::Core };
        let problem = Problem { batch, seq_len, d_model: d_head * n_heads, n_heads, causal, level, seed, task: mixer::Task::Forward };
        let mut params = params(chunk, rounds);
        params.set("num_buckets", 2 * half_buckets);
        params.set("chunks_before", before);
        params.set("chunks_after", after);
        params.set("kind", KINDS[usize::from(is_local)]);
        testing::agrees_with_reference(&REFORMER, &problem, &params);
    }
}
