//! Seeded cases. Besides input, weights and rotations they hold the bucket numbers, as golden files do. Two correct
//! kernels may round a near-tie of the hash differently, which moves a token to another chunk, so outputs are compared
//! for fixed buckets. The reference checks them: see `exact_hash.rs`.

use mixer::{Case, Level, Memory, MixerError, Params, Problem, Serial, Tensors, gather};

use super::hash::Hasher;
use super::{Spec, race_config};
use crate::generate::Generator;
use crate::ops::linear::Linear;

/// Weights with standard deviation 0.02; rotations with variance 1.
pub(super) fn seeded_case(problem: &Problem, params: &Params) -> Result<Case, MixerError> {
    let config = race_config(problem, params)?;
    let generator = Generator::new(problem.seed);
    let width = problem.d_model;
    let shape = [problem.batch, problem.seq_len, width];
    let mut case = Case { level: problem.level, config, tensors: Tensors::new() };
    let spec = Spec::read(&case)?;
    let tensors = &mut case.tensors;
    match problem.level {
        Level::Core => {
            let streams: &[&str] = if spec.avoids_self { &["qk", "v"] } else { &["q", "k", "v"] };
            for name in streams {
                generator.unit(tensors, name, &shape)?;
            }
        }
        Level::Layer => {
            generator.unit(tensors, "x", &shape)?;
            let names: &[&str] = if spec.avoids_self {
                &["query_key", "value", "out"]
            } else {
                &["query", "key", "value", "out"]
            };
            for name in names {
                let bound = 0.02 * 3.0_f32.sqrt();
                generator.uniform(tensors, &format!("param.{name}.weight"), &[width, width], bound)?;
            }
        }
    }
    if let Some(hashing) = &spec.hashing {
        let shape = [spec.base.n_heads, spec.base.d_head(), hashing.rounds, hashing.columns()];
        generator.unit(tensors, "rotations", &shape)?;
        let buckets = buckets(&spec, &case)?;
        case.tensors.insert_i32("mid.buckets", &spec.buckets_shape(hashing), buckets);
    }
    Ok(case)
}

/// The buckets of the CPU kernel, `[batch, n_heads, rounds, length]`.
fn buckets(spec: &Spec, case: &Case) -> Result<Vec<i32>, MixerError> {
    let memory = Memory::new(u64::MAX);
    let Some(mut hasher) = Hasher::new(spec, case, &memory, 1)? else { return Ok(Vec::new()) };
    match spec.base.level {
        Level::Core => {
            let [u, _, _] = spec.streams(&case.tensors)?;
            hasher.hash(u, &Serial);
        }
        Level::Layer => {
            let width = spec.base.dims.d_model;
            let (weight, _) = spec.base.projection(&case.tensors, "query_key")?;
            let x = spec.base.input(&case.tensors)?;
            let mut u = memory.floats(x.len())?;
            Linear::new(&memory, width, width, weight, None)?.apply(x, &mut u, &Serial);
            hasher.hash(&u, &Serial);
        }
    }
    let rounds = hasher.buckets().chunks_exact(spec.padded());
    // Bucket numbers are at most 2²².
    let number = |&bucket: &u32| i32::try_from(bucket).unwrap_or_default();
    let numbers = rounds.flat_map(|round| round[..spec.base.dims.seq_len].iter().map(number));
    gather(hasher.buckets().len(), numbers)
}
