//! Reformer's attention (Kitaev, Kaiser and Levskaya, arXiv 2001.04451, section 2): positions are sorted by a
//! locality-sensitive hash and attend within chunks of the sorted order. Also its companion, chunked local attention.
//! See README.md.

mod chunks;
mod cost;
mod cpu;
mod exact_hash;
mod gpu;
mod hash;
mod reference;
mod seed;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "trials"))]
pub(crate) mod trials;

use mixer::{
    Case, Causality, Family, Info, MixerError, NoDecode, ParamKind, ParamSpec, Params, Problem, System,
    Tensors, Tolerance, Value,
};

use crate::multi_head;

/// Names of the two kinds.
const KINDS: [&str; 2] = ["lsh", "local"];

/// Largest number of buckets: a counting sort keeps one counter per bucket.
const MAX_BUCKETS: usize = 1 << 22;

/// Largest number of keys per round that a query may see: twice the longest sequence.
const MAX_SEEN: usize = 2 * Problem::MAX_SEQ_LEN;

/// The defaults of the paper's models: chunks of 64, one chunk of look-back, 4 rounds.
static INFO: Info = Info {
    id: "reformer",
    title: "Reformer",
    mark: 11,
    family: Family::EfficientAttention,
    causality: Causality::Both,
    complexity: "O(L log L·D)",
    exponent: 1.0,
    year: 2020,
    paper: "Kitaev, Kaiser and Levskaya, “Reformer: The Efficient Transformer”",
    arxiv: "2001.04451",
    reference: "transformers 4.40.2, LSHSelfAttention and LocalSelfAttention (google/trax)",
    summary: "Positions are hashed, sorted by bucket, and look at their own chunk of the sorted order and the one before.",
    params: &[
        ParamSpec {
            name: "kind",
            kind: ParamKind::Choice { choices: &KINDS },
            help: "Hashed attention, or the local attention in natural order that models alternate with it",
        },
        ParamSpec {
            name: "chunk_length",
            kind: ParamKind::Count { default: 64, low: 1, high: 4096 },
            help: "Positions in a chunk; a sequence no longer than that is one chunk, not hashed",
        },
        ParamSpec {
            name: "num_hashes",
            kind: ParamKind::Count { default: 4, low: 1, high: 16 },
            help: "Rounds of hashing",
        },
        ParamSpec {
            name: "num_buckets",
            kind: ParamKind::Count { default: 0, low: 0, high: 4096 },
            help: "Buckets of a round, an even number; 0 for the reference's rule, about 2L / chunk_length",
        },
        ParamSpec {
            name: "chunks_before",
            kind: ParamKind::Count { default: 1, low: 0, high: 8 },
            help: "Chunks seen before a position's own",
        },
        ParamSpec {
            name: "chunks_after",
            kind: ParamKind::Count { default: 0, low: 0, high: 8 },
            help: "Chunks seen after a position's own",
        },
    ],
    config: &["padded_length"],
    spare: &["rotations"],
    tolerance: Tolerance { abs: 2e-5, rel: 1e-4 },
};

/// The `reformer` lane.
pub static REFORMER: System = System {
    info: &INFO,
    seeded_case: seed::seeded_case,
    cost: |problem, params| Ok(cost::cost(&Spec::race(problem, params)?)),
    reference: |case| reference::reference(case, &mut mixer::OpCount::default()),
    spot_check: reference::spot_check,
    cpu: |case, memory, parallel| Ok(Box::new(cpu::Kernel::new(case, memory, parallel)?)),
    gpu: gpu::plan,
    decode: Err(NoDecode::OtherFunction),
};

/// The configuration of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    /// Sizes, heads, level; projections have no biases.
    pub base: multi_head::Spec,
    /// Positions per chunk; the sequence's length if it is no longer than the configured chunk.
    pub chunk: usize,
    pub before: usize,
    pub after: usize,
    /// Whether a query avoids its own key: hashed attention, even for sequences that are too short to be hashed.
    pub avoids_self: bool,
    /// The hash that sorts positions; `None` for the natural order.
    pub hashing: Option<Hashing>,
}

/// The hash of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hashing {
    pub rounds: usize,
    /// Even factors of the number of buckets.
    pub factors: Vec<usize>,
}

impl Hashing {
    /// Columns of one round's rotation: the sum of half of each factor.
    pub(crate) fn columns(&self) -> usize {
        self.factors.iter().sum::<usize>() / 2
    }

    /// Buckets of a round, without the bucket of padding.
    pub(crate) fn buckets(&self) -> usize {
        self.factors.iter().product()
    }
}

impl Spec {
    pub(crate) fn read(case: &Case) -> Result<Self, MixerError> {
        let config = &case.config;
        let base = multi_head::Spec { bias: false, ..multi_head::Spec::read(case)? };
        let seq_len = base.dims.seq_len;
        let is_lsh = config.choice_or("kind", &KINDS)? == KINDS[0];
        let chunk = config.count("chunk_length", 1, Problem::MAX_PLANNED_SEQ_LEN)?;
        let most = Problem::MAX_PLANNED_SEQ_LEN;
        let (before, after) =
            (config.count_or("chunks_before", 1, 0, most)?, config.count_or("chunks_after", 0, 0, most)?);
        let is_short = seq_len <= chunk;
        if !is_short && (before + 1 + after).saturating_mul(chunk) > MAX_SEEN {
            let allowed = format!("such that a query sees at most {MAX_SEEN} keys of a round");
            return Err(MixerError::invalid("chunks_before", allowed, before));
        }
        let padded = if is_short { seq_len } else { seq_len.next_multiple_of(chunk) };
        if config.count_or("padded_length", padded, 1, 2 * most)? != padded {
            return Err(MixerError::invalid("padded_length", padded.to_string(), "another number"));
        }
        let hashing = if is_lsh && !is_short {
            let rounds = config.count_or("num_hashes", 1, 1, 1024)?;
            Some(Hashing { rounds, factors: factors(config, padded, chunk)? })
        } else {
            None
        };
        if is_short {
            return Ok(Self { base, chunk: seq_len, before: 0, after: 0, avoids_self: is_lsh, hashing });
        }
        Ok(Self { base, chunk, before, after, avoids_self: is_lsh, hashing })
    }

    /// The spec of a race with this problem and these parameters.
    pub(crate) fn race(problem: &Problem, params: &Params) -> Result<Self, MixerError> {
        let (config, level) = (race_config(problem, params)?, problem.level);
        Self::read(&Case { level, config, tensors: Tensors::new() })
    }

    /// Length of a round with padding.
    pub(crate) fn padded(&self) -> usize {
        self.base.dims.seq_len.next_multiple_of(self.chunk)
    }

    /// Number of attention rounds.
    pub(crate) fn rounds(&self) -> usize {
        self.hashing.as_ref().map_or(1, |hashing| hashing.rounds)
    }

    /// Chunks of all rounds, which form one ring.
    pub(crate) fn chunks(&self) -> usize {
        self.rounds() * self.padded() / self.chunk
    }

    /// Number of chunks that a query sees.
    pub(crate) fn seen(&self) -> usize {
        self.before + 1 + self.after
    }

    /// Whether every query sees every position equally often, so that chunks and hashes change nothing: a single chunk,
    /// or as many neighbours as the ring has chunks.
    pub(crate) fn sees_all(&self) -> bool {
        self.seen().is_multiple_of(self.chunks())
    }

    /// The chunks seen from chunk `m` of the ring.
    pub(crate) fn seen_from(&self, m: usize) -> impl Iterator<Item = usize> + use<> {
        let chunks = self.chunks();
        // `before` may exceed the length of the ring.
        let first = m + chunks * self.before.div_ceil(chunks) - self.before;
        (first..first + self.seen()).map(move |chunk| chunk % chunks)
    }

    /// Queries, keys and values of a `core` case, each `[batch, length, width]`. Hashed queries are also the keys.
    pub(crate) fn streams<'a>(&self, tensors: &'a Tensors) -> Result<[&'a [f32]; 3], MixerError> {
        let shape = self.base.dims.shape(self.base.dims.d_model);
        if self.avoids_self {
            let qk = tensors.floats("qk", &shape)?;
            return Ok([qk, qk, tensors.floats("v", &shape)?]);
        }
        self.base.streams(tensors)
    }

    /// Names of the projections of queries, keys and values.
    pub(crate) fn projections(&self) -> [&'static str; 3] {
        if self.avoids_self { ["query_key", "query_key", "value"] } else { ["query", "key", "value"] }
    }

    /// Random rotations `[n_heads, d_head, rounds, columns]`.
    pub(crate) fn rotations<'a>(
        &self,
        hashing: &Hashing,
        tensors: &'a Tensors,
    ) -> Result<&'a [f32], MixerError> {
        let shape = [self.base.n_heads, self.base.d_head(), hashing.rounds, hashing.columns()];
        tensors.floats("rotations", &shape)
    }

    /// Shape of stated bucket numbers, `[batch, n_heads, rounds, length]`.
    pub(crate) fn buckets_shape(&self, hashing: &Hashing) -> [usize; 4] {
        [self.base.dims.batch, self.base.n_heads, hashing.rounds, self.base.dims.seq_len]
    }
}

/// `num_buckets`: a list of even factors, or one even number; if absent, the reference's rule.
fn factors(config: &Params, padded: usize, chunk: usize) -> Result<Vec<usize>, MixerError> {
    let bad = |got: &dyn std::fmt::Display| {
        let allowed = format!("even numbers whose product is at most {MAX_BUCKETS}");
        MixerError::invalid("num_buckets", allowed, got)
    };
    let given = match config.get("num_buckets") {
        None | Some(Value::Null | Value::Int(0)) => return Ok(default_factors(padded, chunk)),
        Some(Value::List(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
    };
    let mut factors = Vec::with_capacity(given.len());
    let mut product = 1_usize;
    for value in given {
        let Value::Int(factor) = value else { return Err(bad(value)) };
        let factor = usize::try_from(*factor).map_err(|_| bad(factor))?;
        product = product.saturating_mul(factor);
        if factor == 0 || factor % 2 == 1 || product > MAX_BUCKETS {
            return Err(bad(&factor));
        }
        factors.push(factor);
    }
    if factors.is_empty() { Err(bad(&"an empty list")) } else { Ok(factors) }
}

/// The reference's rule: the largest power of two up to 2P/C, split into two factors if it is large.
fn default_factors(padded: usize, chunk: usize) -> Vec<usize> {
    let power = (2 * (padded / chunk).max(1)).ilog2();
    if 1 << power > 2 * (padded / chunk).isqrt().max(chunk) {
        vec![1 << (power / 2), 1 << (power - power / 2)]
    } else {
        vec![1 << power]
    }
}

/// The configuration of a race.
fn race_config(problem: &Problem, params: &Params) -> Result<Params, MixerError> {
    let mut config = problem.to_params();
    let params = INFO.resolve(params)?;
    for (name, value) in params.iter() {
        config.set(name, value.clone());
    }
    let chunk = params.count("chunk_length", 1, 4096)?;
    let padded =
        if problem.seq_len <= chunk { problem.seq_len } else { problem.seq_len.next_multiple_of(chunk) };
    config.set("padded_length", padded);
    let factors = factors(&config, padded, chunk)?;
    config.set("num_buckets", Value::List(factors.into_iter().map(Value::from).collect()));
    Ok(config)
}
