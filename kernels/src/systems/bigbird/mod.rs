//! BigBird (Zaheer et al., arXiv 2007.14062): block-sparse attention with a window, two global blocks and a few random
//! blocks, in the internal-global variant (ITC). See README.md.

mod cost;
mod cpu;
mod gpu;
mod model;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{
    Case, Causality, Family, Info, Level, MixerError, NoDecode, ParamKind, ParamSpec, Params, Problem,
    System, Tensors, Tolerance, room,
};

use crate::generate::Generator;
use crate::model::reference;
use crate::multi_head;

/// Smallest number of blocks for which the pattern is defined: two global blocks and a window between them.
const MIN_BLOCKS: usize = 5;

/// Names of the two forms in the reference's configuration.
const ATTENTION_TYPES: [&str; 2] = ["block_sparse", "original_full"];

/// The defaults of the paper's base model.
static INFO: Info = Info {
    id: "bigbird",
    title: "BigBird",
    mark: 10,
    family: Family::EfficientAttention,
    causality: Causality::BidirectionalOnly,
    complexity: "O(L·b·(7 + r)·D)",
    exponent: 1.0,
    year: 2020,
    paper: "Zaheer et al., “Big Bird: Transformers for Longer Sequences”",
    arxiv: "2007.14062",
    reference: "transformers 4.40.2, BigBirdBlockSparseAttention (google-research/bigbird)",
    summary: "Blocks of positions look at their neighbours, at a few random blocks and at two global ones.",
    params: &[
        ParamSpec {
            name: "block_size",
            kind: ParamKind::Count { default: 64, low: 1, high: 4096 },
            help: "Positions in a block",
        },
        ParamSpec {
            name: "num_random_blocks",
            kind: ParamKind::Count { default: 3, low: 0, high: 64 },
            help: "Random key blocks of each query block; up to 5 + 2r blocks in all, attention is full",
        },
    ],
    config: &["num_blocks"],
    spare: &[],
    tolerance: Tolerance { abs: 2e-5, rel: 1e-4 },
};

/// The `bigbird` lane.
pub static BIGBIRD: System = System {
    info: &INFO,
    seeded_case: |problem, params| seeded_case(problem, &Blocks::race(problem, params)?),
    cost: |problem, params| Ok(cost::cost(problem, &Blocks::race(problem, params)?)),
    reference: reference::<Spec>,
    spot_check: model::spot_check,
    cpu: |case, memory, parallel| Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?)),
    gpu: gpu::plan,
    decode: Err(NoDecode::NotCausal),
};

/// Division of a sequence into blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocks {
    pub seq_len: usize,
    /// Positions in a block; the last one may have fewer.
    pub size: usize,
    /// Random key blocks of each query block.
    pub n_random: usize,
    /// Whether every position sees every position, as in the reference's model for short sequences.
    pub full: bool,
}

impl Blocks {
    /// Full attention up to 5 + 2r blocks, as in the reference's model; the block-sparse pattern above that.
    fn race(problem: &Problem, params: &Params) -> Result<Self, MixerError> {
        let params = INFO.resolve(params)?;
        let size = params.count("block_size", 1, 4096)?;
        let n_random = params.count("num_random_blocks", 0, 64)?;
        let full = problem.seq_len.div_ceil(size) <= MIN_BLOCKS + 2 * n_random;
        Ok(Self { seq_len: problem.seq_len, size, n_random, full })
    }

    /// Number of blocks.
    pub(crate) fn count(self) -> usize {
        self.seq_len.div_ceil(self.size)
    }

    /// Positions of one block.
    pub(crate) fn range(self, block: usize) -> std::ops::Range<usize> {
        block * self.size..((block + 1) * self.size).min(self.seq_len)
    }

    /// Shape of the table of random blocks.
    fn random_shape(self, n_heads: usize) -> [usize; 3] {
        [n_heads, self.count().saturating_sub(2), self.n_random]
    }
}

/// The configuration of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spec {
    pub base: multi_head::Spec,
    pub blocks: Blocks,
}

impl Spec {
    pub(crate) fn read(case: &Case) -> Result<Self, MixerError> {
        let base = multi_head::Spec::read(case)?;
        if base.causal {
            return Err(MixerError::Unsupported {
                system: INFO.id.to_owned(),
                what: "a causal case".to_owned(),
            });
        }
        let seq_len = base.dims.seq_len;
        let blocks = Blocks {
            seq_len,
            size: case.config.count("block_size", 1, Problem::MAX_SEQ_LEN)?,
            n_random: case.config.count("num_random_blocks", 0, Problem::MAX_SEQ_LEN)?,
            full: case.config.choice_or("attention_type", &ATTENTION_TYPES)? == ATTENTION_TYPES[1],
        };
        let count = blocks.count();
        if case.config.count_or("num_blocks", count, 1, Problem::MAX_SEQ_LEN)? != count {
            return Err(MixerError::invalid(
                "num_blocks",
                format!("⌈length / block_size⌉ = {count}"),
                "another number",
            ));
        }
        if count < MIN_BLOCKS && !blocks.full {
            return Err(MixerError::invalid(
                "block_size",
                format!(
                    "at most {} so that {seq_len} positions make 5 blocks",
                    (seq_len.saturating_sub(1) / 4).max(1)
                ),
                blocks.size,
            ));
        }
        let spec = Self { base, blocks };
        if let Some(&stray) = spec
            .random(&case.tensors)?
            .iter()
            .find(|&&block| usize::try_from(block).map_or(true, |block| block >= count))
        {
            return Err(MixerError::invalid("random_blocks", format!("block numbers below {count}"), stray));
        }
        Ok(spec)
    }

    /// The table of random blocks `[n_heads, n_blocks − 2, n_random]`; empty where there are none.
    pub(crate) fn random<'a>(&self, tensors: &'a Tensors) -> Result<&'a [i32], MixerError> {
        if self.blocks.full || self.blocks.n_random == 0 {
            return Ok(&[]);
        }
        tensors.indices("random_blocks", &self.blocks.random_shape(self.base.n_heads))
    }

    /// The key blocks of a query block that is not global, with repetitions. `random` is the row of the table for the
    /// head and the block.
    pub(crate) fn key_blocks(self, block: usize, random: &[i32]) -> impl Iterator<Item = usize> {
        let last = self.blocks.count() - 1;
        let low = block - 1;
        let window = low..=block + 1;
        let first_apart = (low > 0).then_some(0);
        let last_apart = (block + 1 < last).then_some(last);
        first_apart
            .into_iter()
            .chain(window)
            .chain(last_apart)
            .chain(random.iter().map(|&block| block as usize))
    }

    /// Row of the table for a head and a query block; row 0 belongs to block 1.
    pub(crate) fn random_row<'a>(&self, random: &'a [i32], head: usize, block: usize) -> &'a [i32] {
        let r = self.blocks.n_random;
        if random.is_empty() {
            random
        } else {
            &random[(head * (self.blocks.count() - 2) + block - 1) * r..][..r]
        }
    }

    /// Whether a block attends to all blocks.
    pub(crate) fn is_global(&self, block: usize) -> bool {
        self.blocks.full || block == 0 || block + 1 == self.blocks.count()
    }
}

/// Weights as in models of BERT's family: standard deviation 0.02, biases zero.
fn seeded_case(problem: &Problem, blocks: &Blocks) -> Result<Case, MixerError> {
    let generator = Generator::new(problem.seed);
    let width = problem.d_model;
    let shape = [problem.batch, problem.seq_len, width];
    let mut tensors = Tensors::new();
    match problem.level {
        Level::Core => {
            for name in ["q", "k", "v"] {
                generator.unit(&mut tensors, name, &shape)?;
            }
        }
        Level::Layer => {
            generator.unit(&mut tensors, "x", &shape)?;
            for name in ["query", "key", "value", "out"] {
                let bound = 0.02 * 3.0_f32.sqrt();
                generator.uniform(&mut tensors, &format!("param.{name}.weight"), &[width, width], bound)?;
                tensors.insert(format!("param.{name}.bias"), &[width], vec![0.0; width]);
            }
        }
    }
    let mut config = Problem { causal: false, ..*problem }.to_params();
    config.set("block_size", blocks.size);
    config.set("num_blocks", blocks.count());
    config.set("num_random_blocks", blocks.n_random);
    config.set("attention_type", ATTENTION_TYPES[usize::from(blocks.full)]);
    if !blocks.full && blocks.n_random > 0 {
        let shape = blocks.random_shape(problem.n_heads);
        let mut draws = Tensors::new();
        generator.uniform(&mut draws, "random_blocks", &shape, 1.0)?;
        let draws = draws.floats("random_blocks", &shape).unwrap_or_default();
        tensors.insert_i32("random_blocks", &shape, random_blocks(blocks, draws)?);
    }
    Ok(Case { level: problem.level, config, tensors })
}

/// For each head and each query block a, r distinct blocks of 1 … n − 2 without a − 1, a, a + 1, by Floyd's method
/// (Bentley and Floyd 1987). Each block consumes one of `draws`, uniform in [−1, 1).
fn random_blocks(blocks: &Blocks, draws: &[f32]) -> Result<Vec<i32>, MixerError> {
    let (n, r) = (blocks.count(), blocks.n_random);
    let mut table = room(draws.len())?;
    for (row, draws) in draws.chunks_exact(r).enumerate() {
        let block = 1 + row % (n - 2);
        let before = block.saturating_sub(2);
        let candidates = before + (n - 3).saturating_sub(block);
        let start = table.len();
        for (draw, upper) in draws.iter().zip(candidates - r..) {
            let pick = ((f64::from(*draw) + 1.0) * (upper + 1) as f64 / 2.0) as usize;
            // Block numbers are at most 2²⁰.
            let block_of = |pick: usize| {
                let block = if pick < before { 1 + pick } else { block + 2 + pick - before };
                i32::try_from(block).unwrap_or_default()
            };
            let picked = block_of(pick);
            let taken = table[start..].contains(&picked);
            table.push(if taken { block_of(upper) } else { picked });
        }
    }
    Ok(table)
}
