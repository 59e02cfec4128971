//! Reformer's attention in f64, one query at a time: one softmax over the keys of all rounds, with repetitions.

use mixer::{Case, Level, MixerError, OpCount, SpotCheck, SpotDraw};

use super::exact_hash::{Channels, buckets, sum_error};
use super::{Hashing, Spec};
use crate::ops::exact::{dot, softmax};
use crate::ops::exact::{linear, widen};

/// The ordered positions of one head of one sequence: round after round, each sorted by bucket.
pub(super) struct List {
    positions: Vec<usize>,
    /// Index of each position in each round, `[rounds, padded]`.
    places: Vec<usize>,
}

impl List {
    /// Builds the order from bucket numbers `[rounds, length]`; natural order without them.
    pub(super) fn new(spec: &Spec, buckets: Option<&[usize]>) -> Self {
        let (padded, seq_len) = (spec.padded(), spec.base.dims.seq_len);
        let mut positions = Vec::with_capacity(spec.rounds() * padded);
        let mut places = vec![0; spec.rounds() * padded];
        for round in 0..spec.rounds() {
            let mut order: Vec<usize> = (0..padded).collect();
            if let Some(buckets) = buckets {
                // Padding has its own bucket after all others.
                let bucket = |position: usize| buckets[round * seq_len..][..seq_len].get(position).copied();
                order.sort_by_key(|&position| bucket(position).unwrap_or(usize::MAX));
            }
            for (place, &position) in order.iter().enumerate() {
                places[round * padded + position] = round * padded + place;
            }
            positions.extend(order);
        }
        Self { positions, places }
    }

    /// The keys that position `i` sees in all rounds, padding included.
    pub(super) fn keys(&self, spec: &Spec, i: usize) -> Vec<usize> {
        let mut keys = Vec::with_capacity(spec.rounds() * spec.seen() * spec.chunk);
        for round in 0..spec.rounds() {
            let chunk = self.places[round * spec.padded() + i] / spec.chunk;
            for neighbour in spec.seen_from(chunk) {
                keys.extend_from_slice(&self.positions[neighbour * spec.chunk..][..spec.chunk]);
            }
        }
        keys
    }
}

/// Softmax weights of a query's keys; `score(j)` is the score of a key that is not masked.
fn weights(spec: &Spec, i: usize, keys: &[usize], mut score: impl FnMut(usize) -> f64) -> Vec<f64> {
    let scores: Vec<f64> = keys
        .iter()
        .map(|&j| {
            if j == i && spec.avoids_self {
                -1e5
            } else if j >= spec.base.dims.seq_len || (spec.base.causal && j > i) {
                -1e9
            } else {
                score(j)
            }
        })
        .collect();
    softmax(&scores)
}

/// Scale of keys: 1/√d, divided by the root mean square if queries are also the keys.
fn key_scale(spec: &Spec, key: &[f64]) -> f64 {
    let width = key.len() as f64;
    if spec.avoids_self {
        1.0 / (dot(key, key) / width + 1e-6).sqrt() / width.sqrt()
    } else {
        1.0 / width.sqrt()
    }
}

/// Error bound of a kernel's projection of a row for any channel of a head; `weight` is the head's part of the matrix,
/// `[d_head, width]`. By Cauchy and Schwarz the magnitudes of a sum's terms add up to at most |x|·|w|.
fn projection_error(x: &[f64], weight: &[f32]) -> f64 {
    let norm = |row: &[f64]| dot(row, row).sqrt();
    let longest = weight.chunks_exact(x.len()).map(|row| norm(&widen(row))).fold(0.0, f64::max);
    sum_error(x.len()) * norm(x) * longest
}

/// Outputs `[batch, length, width]` in f64.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let spec = Spec::read(case)?;
    let (width, length, d_head) = (spec.base.dims.d_model, spec.base.dims.seq_len, spec.base.d_head());
    let x = match spec.base.level {
        Level::Core => Vec::new(),
        Level::Layer => widen(spec.base.input(&case.tensors)?),
    };
    let [q, k, v] = match spec.base.level {
        Level::Core => spec.streams(&case.tensors)?.map(widen),
        Level::Layer => {
            let mut project = |name: &str| -> Result<Vec<f64>, MixerError> {
                Ok(linear(&x, spec.base.projection(&case.tensors, name)?.0, None, width, count))
            };
            let [query, key, value] = spec.projections();
            let q = project(query)?;
            let k = if spec.avoids_self { q.clone() } else { project(key)? };
            [q, k, project(value)?]
        }
    };
    let mut core = vec![0.0; q.len()];
    for sequence in 0..spec.base.dims.batch {
        for head in 0..spec.base.n_heads {
            let at = |stream: &[f64], position: usize| {
                stream[(sequence * length + position) * width + head * d_head..][..d_head].to_vec()
            };
            let buckets = match &spec.hashing {
                Some(hashing) => {
                    let weight = head_weight(&spec, case, head)?;
                    let u = |position: usize| Channels {
                        values: at(&q, position),
                        error: weight.map_or(0.0, |weight| {
                            projection_error(&x[(sequence * length + position) * width..][..width], weight)
                        }),
                    };
                    Some(buckets(&spec, hashing, case, (sequence, head), 0..length, u, count)?)
                }
                None => None,
            };
            let list = List::new(&spec, buckets.as_deref());
            for i in 0..length {
                let keys = list.keys(&spec, i);
                let query = at(&q, i);
                let weights = weights(&spec, i, &keys, |j| {
                    let key = at(&k, j);
                    key_scale(&spec, &key) * dot(&query, &key)
                });
                let out = &mut core[(sequence * length + i) * width + head * d_head..][..d_head];
                for (weight, &j) in weights.iter().zip(&keys).filter(|(_, j)| **j < length) {
                    out.iter_mut().zip(at(&v, j)).for_each(|(to, from)| *to += weight * from);
                }
                count.add(4 * keys.len() * d_head);
            }
        }
    }
    match spec.base.level {
        Level::Core => Ok(core),
        Level::Layer => Ok(linear(&core, spec.base.projection(&case.tensors, "out")?.0, None, width, count)),
    }
}

/// The part of a layer's query projection for one head's channels, `[d_head, width]`.
fn head_weight<'a>(spec: &Spec, case: &'a Case, head: usize) -> Result<Option<&'a [f32]>, MixerError> {
    let (width, d_head) = (spec.base.dims.d_model, spec.base.d_head());
    Ok(match spec.base.level {
        Level::Core => None,
        Level::Layer => {
            let weight = spec.base.projection(&case.tensors, spec.projections()[0])?.0;
            Some(&weight[head * d_head * width..][..d_head * width])
        }
    })
}

/// Positions whose stated buckets a spot check hashes within its budget, spread so that no block of a kernel is
/// skipped.
fn hashed_positions(spec: &Spec, hashing: &Hashing, max_flops: u64) -> impl Iterator<Item = usize> + use<> {
    let (length, width) = (spec.base.dims.seq_len, spec.base.dims.d_model);
    let projected = if spec.base.level == Level::Layer { 4 * width } else { 0 };
    let per_position = width * (projected + 4 * hashing.rounds * hashing.columns());
    let n = usize::try_from(max_flops / per_position.max(1) as u64).unwrap_or(length).clamp(16, 512);
    // Step by an odd number near the golden section of the length.
    let step = (length as f64 * 0.618) as usize | 1;
    (0..n.min(length)).map(move |i| (i * step + length - 1) % length)
}

/// A few rows of the first sequence at any length, with the case's buckets, some of which are hashed again. Only keys
/// that these rows see are projected, and Σ w_j v_j is W_v Σ w_j x_j.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let (length, width, d_head) = (spec.base.dims.seq_len, spec.base.dims.d_model, spec.base.d_head());
    let n_keys = spec.rounds() * spec.seen() * spec.chunk;
    let per_row = match spec.base.level {
        Level::Core => 4 * n_keys * width,
        Level::Layer => n_keys * width * (2 * width + 2 * spec.base.n_heads) + 8 * width * width,
    };
    // A quarter of the budget is for hashing.
    let rows = draw.rows(length, draw.affords(per_row as u64 / 3 * 4, 4));
    let names = spec.projections();
    // One head's channels of the stream `index` (q, k or v) at a position.
    let at = |index: usize, head: usize, position: usize| -> Result<Vec<f64>, MixerError> {
        Ok(match spec.base.level {
            Level::Core => {
                widen(&spec.streams(&case.tensors)?[index][position * width + head * d_head..][..d_head])
            }
            Level::Layer => {
                let weight = spec.base.projection(&case.tensors, names[index])?.0;
                let weight = &weight[head * d_head * width..][..d_head * width];
                let x = widen(&spec.base.input(&case.tensors)?[position * width..][..width]);
                linear(&x, weight, None, width, &mut OpCount::default())
            }
        })
    };
    let mut core = vec![0.0; rows.len() * width];
    for head in 0..spec.base.n_heads {
        let buckets = match &spec.hashing {
            Some(hashing) => {
                let weight = head_weight(&spec, case, head)?;
                let x = weight.map(|_| spec.base.input(&case.tensors)).transpose()?;
                let u = |position: usize| Channels {
                    values: at(0, head, position).unwrap_or_default(),
                    error: x.zip(weight).map_or(0.0, |(x, weight)| {
                        projection_error(&widen(&x[position * width..][..width]), weight)
                    }),
                };
                let checked = hashed_positions(&spec, hashing, draw.max_flops / 4);
                Some(buckets(&spec, hashing, case, (0, head), checked, u, &mut OpCount::default())?)
            }
            None => None,
        };
        let list = List::new(&spec, buckets.as_deref());
        for (row_idx, &i) in rows.iter().enumerate() {
            let keys = list.keys(&spec, i);
            let query = at(0, head, i)?;
            let mut failure = None;
            let weights = weights(&spec, i, &keys, |j| match at(1, head, j) {
                Ok(key) => key_scale(&spec, &key) * dot(&query, &key),
                Err(error) => {
                    failure = Some(error);
                    0.0
                }
            });
            if let Some(error) = failure {
                return Err(error);
            }
            let seen = weights.iter().zip(&keys).filter(|(_, j)| **j < length);
            let out = &mut core[row_idx * width + head * d_head..][..d_head];
            match spec.base.level {
                Level::Core => {
                    for (weight, &j) in seen {
                        out.iter_mut().zip(at(2, head, j)?).for_each(|(to, from)| *to += weight * from);
                    }
                }
                Level::Layer => {
                    let x = spec.base.input(&case.tensors)?;
                    let mut mixed = vec![0.0; width];
                    for (weight, &j) in seen {
                        let row = &x[j * width..][..width];
                        mixed.iter_mut().zip(row).for_each(|(to, from)| *to += weight * f64::from(*from));
                    }
                    let weight = spec.base.projection(&case.tensors, "value")?.0;
                    let weight = &weight[head * d_head * width..][..d_head * width];
                    out.copy_from_slice(&linear(&mixed, weight, None, width, &mut OpCount::default()));
                }
            }
        }
    }
    let expected = match spec.base.level {
        Level::Core => core,
        Level::Layer => {
            linear(&core, spec.base.projection(&case.tensors, "out")?.0, None, width, &mut OpCount::default())
        }
    };
    Ok(SpotCheck::of_rows(rows, expected))
}
