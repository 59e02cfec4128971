use std::collections::HashSet;

use mixer::{Params, Serial, Tensor, Value};
use proptest::prelude::*;

use super::*;
use crate::systems::attention::ATTENTION;
use crate::testing::{self, PROBLEM, edge_problems};

fn params(block_size: usize, num_random_blocks: usize) -> Params {
    let mut params = Params::new();
    params.set("block_size", block_size);
    params.set("num_random_blocks", num_random_blocks);
    params
}

#[test]
fn golden_parity() {
    testing::golden_parity(&BIGBIRD, "bigbird");
}

#[test]
fn fault_11_a_flipped_sign_fails_verification() {
    testing::a_flipped_sign_fails(&BIGBIRD, "bigbird");
}

#[test]
fn agrees_with_the_reference_at_the_edges() {
    for problem in edge_problems() {
        for (block_size, n_random) in [(1, 2), (3, 1), (8, 3), (16, 0), (64, 3)] {
            testing::agrees_with_reference(&BIGBIRD, &problem, &params(block_size, n_random));
        }
    }
}

/// Blocks longer than a query block, runs longer than a key tile, and a partly filled last block.
#[test]
fn long_blocks_agree_with_the_reference() {
    for block_size in [64, 100] {
        let problem = Problem { seq_len: 12 * block_size - 7, level: Level::Core, ..PROBLEM };
        let params = params(block_size, 2);
        assert!(!Blocks::race(&problem, &params).unwrap().full);
        testing::agrees_with_reference(&BIGBIRD, &problem, &params);
    }
}

/// With few blocks, BigBird is plain attention, as in the reference's model.
#[test]
fn few_blocks_are_attention() {
    let problem = Problem { seq_len: 11 * 8, level: Level::Core, causal: false, ..PROBLEM };
    let case = BIGBIRD.seeded_case(&problem, &params(8, 3)).unwrap();
    let want = ATTENTION.reference(&case).unwrap();
    assert!(INFO.tolerance.compare_f32(&testing::cpu(&BIGBIRD, &case, &Serial), &want).pass);
    let longer = BIGBIRD.seeded_case(&Problem { seq_len: 11 * 8 + 1, ..problem }, &params(8, 3)).unwrap();
    assert!(longer.tensors.get("random_blocks").is_some());
}

/// If the random blocks are exactly the blocks outside the window and the global blocks, every key is listed once:
/// plain attention.
#[test]
fn every_block_listed_once_is_attention() {
    let problem = Problem { seq_len: 7 * 8 - 3, n_heads: 2, level: Level::Core, causal: false, ..PROBLEM };
    let mut case = BIGBIRD.seeded_case(&problem, &params(8, 1)).unwrap();
    case.config.set("attention_type", "block_sparse");
    // Blocks 1 and 5 leave three of the seven blocks to the random blocks, the blocks between them two. A table with
    // two columns cannot hold three, so blocks 1 and 5 are not compared.
    case.config.set("num_random_blocks", 2_usize);
    let rows = [[4, 5], [4, 5], [1, 5], [1, 2], [1, 2]];
    let table: Vec<i32> = (0..2).flat_map(|_| rows.into_iter().flatten()).collect();
    case.tensors.insert_i32("random_blocks", &[2, 5, 2], table);
    let want = ATTENTION.reference(&case).unwrap();
    let got = testing::cpu(&BIGBIRD, &case, &Serial);
    for block in [0, 2, 3, 4, 6] {
        let range = block * 8 * 32..((block + 1) * 8).min(53) * 32;
        assert!(INFO.tolerance.compare_f32(&got[range.clone()], &want[range]).pass, "block {block}");
    }
}

/// A block that is listed twice has twice the weight.
#[test]
fn repeated_blocks_count_each_time() {
    let problem = Problem { seq_len: 48, level: Level::Core, ..PROBLEM };
    let mut case = BIGBIRD.seeded_case(&problem, &params(4, 2)).unwrap();
    assert!(case.tensors.get("random_blocks").is_some());
    let Some(Tensor::F32 { shape, data }) = case.tensors.get("q").cloned() else { panic!("no q") };
    // With equal scores, the output is the mean of the values, each counted as often as it is listed.
    case.tensors.insert("q", &shape, vec![0.0; data.len()]);
    let mut v = vec![0.0; data.len()];
    v[..4 * 32].fill(1.0);
    case.tensors.insert("v", &shape, v);
    case.tensors.insert_i32("random_blocks", &[2, 10, 2], vec![0; 40]);
    let got = testing::cpu(&BIGBIRD, &case, &Serial);
    // Block 5 lists 0, 4, 5, 6, 11 and 0 twice more; block 1 lists 0, 1, 2, 11 and 0 twice more.
    assert!((got[5 * 4 * 32] - 3.0 / 7.0).abs() < 1e-6 && (got[4 * 32] - 3.0 / 6.0).abs() < 1e-6);
}

#[test]
fn random_blocks_are_distinct_and_outside_the_window() {
    for (n, r) in [(12, 3), (8, 1), (64, 5), (1024, 3)] {
        let problem = Problem { seq_len: n * 2, ..PROBLEM };
        let case = BIGBIRD.seeded_case(&problem, &params(2, r)).unwrap();
        let table = case.tensors.indices("random_blocks", &[2, n - 2, r]).unwrap();
        let mut seen: HashSet<usize> = HashSet::new();
        for (row, blocks) in table.chunks_exact(r).enumerate() {
            let a = 1 + row % (n - 2);
            let blocks: Vec<usize> = blocks.iter().map(|&block| usize::try_from(block).unwrap()).collect();
            let distinct: HashSet<_> = blocks.iter().collect();
            assert_eq!(distinct.len(), r);
            assert!(blocks.iter().all(|&b| (1..=n - 2).contains(&b) && b.abs_diff(a) > 1));
            seen.extend(blocks);
        }
        assert!(seen.len() > (n - 2) / 2, "{} of {n}", seen.len());
    }
}

/// Stated exactly where every list holds every position: up to 704 positions with the defaults.
#[test]
fn full_attention_is_stated_where_all_pairs_are_seen() {
    let table = [(Params::new(), 704), (params(8, 0), 40), (params(8, 2), 72), (params(1, 3), 11)];
    for (params, longest) in table {
        for seq_len in [1, longest - 1, longest, longest + 1, 3 * longest] {
            let problem = Problem { seq_len, level: Level::Core, ..PROBLEM };
            let case = BIGBIRD.seeded_case(&problem, &params).unwrap();
            let spec = Spec::read(&case).unwrap();
            let random = spec.random(&case.tensors).unwrap();
            let sees_all = |i| {
                let keys: HashSet<usize> = model::keys(&spec, random, 0, i).into_iter().collect();
                keys.len() == seq_len
            };
            let full = BIGBIRD.cost(&problem, &params).unwrap().full_attention;
            assert_eq!((0..seq_len).all(sees_all), full, "{seq_len}");
            assert_eq!(full, seq_len <= longest, "{seq_len}");
        }
    }
}

#[test]
fn sequences_are_independent() {
    testing::batch_independent(&BIGBIRD, &Problem { seq_len: 900, ..PROBLEM }, &["x"]);
    testing::batch_independent(&BIGBIRD, &Problem { level: Level::Core, ..PROBLEM }, &["q", "k", "v"]);
}

#[test]
fn stated_memory_equals_allocated_memory() {
    testing::states_its_memory(&BIGBIRD, &[false]);
}

#[test]
fn counted_functions_equal_the_closed_form() {
    let params = [(1, 2), (3, 1), (64, 3)].map(|(block, random)| params(block, random));
    testing::counts_its_functions::<Spec>(&BIGBIRD, |_| params.to_vec());
}

#[test]
fn counted_operations_equal_the_closed_form() {
    let params = [(1, 2), (3, 1), (8, 3), (16, 0), (64, 3)].map(|(block, random)| params(block, random));
    testing::counts_its_operations(&BIGBIRD, |_| params.to_vec());
}

#[test]
fn cost_and_memory_are_linear() {
    testing::costs_linearly(&BIGBIRD, 16.1);
}

#[test]
fn spot_rows_agree_at_length_65_000() {
    for level in [Level::Core, Level::Layer] {
        let problem = Problem { seq_len: 65_000, d_model: 16, n_heads: 2, level, ..PROBLEM };
        testing::agrees_at_length(&BIGBIRD, &problem, &Params::new());
    }
}

#[test]
fn invalid_parameters_are_errors_that_name_the_field() {
    let problem = Problem { seq_len: 48, ..PROBLEM };
    let case = BIGBIRD.seeded_case(&problem, &params(4, 1)).unwrap();
    let refused = |key: &str, value: Value| {
        let mut case = case.clone();
        case.config.set(key, value);
        match BIGBIRD.reference(&case).unwrap_err() {
            MixerError::InvalidField { field, .. } => field,
            MixerError::TensorShape { name, .. } => name,
            MixerError::Unsupported { what, .. } => what,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused("block_size", Value::Int(12)), "num_blocks");
    assert_eq!(refused("num_blocks", Value::Int(3)), "num_blocks");
    assert_eq!(refused("num_random_blocks", Value::Int(2)), "random_blocks");
    assert_eq!(refused("causal", Value::Bool(true)), "a causal case");
    let mut few = case.clone();
    few.config.set("block_size", 16_usize);
    few.config.set("num_blocks", 3_usize);
    let error = BIGBIRD.reference(&few).unwrap_err();
    assert!(matches!(error, MixerError::InvalidField { field, .. } if field == "block_size"));
    let mut stray = case.clone();
    stray.tensors.insert_i32("random_blocks", &[2, 10, 1], vec![12; 20]);
    let error = BIGBIRD.reference(&stray).unwrap_err();
    assert!(matches!(error, MixerError::InvalidField { field, .. } if field == "random_blocks"));
}

#[test]
fn the_gpu_plan_is_linear_and_fits_guaranteed_limits() {
    testing::plans_linearly(&BIGBIRD, 1.6);
}

#[test]
fn fault_10_constant_huge_and_nan_inputs() {
    testing::averages_constants_and_shows_nan(&BIGBIRD, &params(4, 1), &["q", "k", "v"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn agrees_with_the_reference_at_random(
        batch in 1_usize..3, seq_len in 1_usize..300, d_head in 1_usize..20, n_heads in 1_usize..4,
        block_size in 1_usize..40, n_random in 0_usize..4, layer in any::<bool>(), seed in any::<u64>(),
    ) {
        let level = if layer { Level::Layer } else { Level::Core };
        let problem = Problem { batch, seq_len, d_model: d_head * n_heads, n_heads, causal: false, level, seed, task: mixer::Task::Forward };
        testing::agrees_with_reference(&BIGBIRD, &problem, &params(block_size, n_random));
    }

    /// Any table down to five blocks, including repeated and global blocks.
    #[test]
    fn any_table_agrees_with_the_reference(
        n in 5_usize..12, block_size in 1_usize..30, missing in 0_usize..30,
        table in prop::collection::vec(0_usize..12, 60), seed in any::<u64>(),
    ) {
        let seq_len = n * block_size - missing.min(block_size - 1);
        let problem = Problem { seq_len, level: Level::Core, seed, causal: false, ..PROBLEM };
        let mut case = BIGBIRD.seeded_case(&problem, &params(block_size, 3)).unwrap();
        case.config.set("attention_type", "block_sparse");
        let table = table[..2 * (n - 2) * 3].iter().map(|&block| i32::try_from(block % n).unwrap()).collect();
        case.tensors.insert_i32("random_blocks", &[2, n - 2, 3], table);
        let want = BIGBIRD.reference(&case).unwrap();
        let deviation = INFO.tolerance.compare_f32(&testing::cpu(&BIGBIRD, &case, &Serial), &want);
        prop_assert!(deviation.pass, "{deviation:?}");
    }
}
