//! Single output rows in f64 at any length. Every key is projected once, since the maximum is over all keys. Values are
//! not projected: the weighted sum of values is the projection of the weighted sum of inputs.

use mixer::{Case, Level, MixerError, OpCount, SpotCheck, SpotDraw};

use super::Spec;
use super::reference::{Features, Projected};
use crate::ops::exact;
use crate::ops::exact::{linear, widen};

pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let (length, inner) = (spec.dims.seq_len, spec.inner());
    let input = if spec.level == Level::Layer { spec.dims.d_model } else { spec.d_head };
    let per_row = 2 * length as u64 * spec.n_heads as u64 * (spec.n_features + input) as u64;
    let rows = draw.rows(length, draw.affords(per_row, 4));
    let mut core = vec![0.0; rows.len() * inner];
    for head in 0..spec.n_heads {
        let outputs = Head::new(&spec, case, head)?.rows(&rows);
        for (core, output) in core.chunks_exact_mut(inner).zip(outputs) {
            core[head * spec.d_head..][..spec.d_head].copy_from_slice(&output);
        }
    }
    let expected = match spec.level {
        Level::Core => core,
        Level::Layer => {
            let (weight, bias) = spec.linear(&case.tensors, "out")?;
            linear(&core, weight, bias, inner, &mut OpCount::default())
        }
    };
    Ok(SpotCheck::of_rows(rows, expected))
}

/// Rows of a stream and their map to a head's vectors; at core level the map selects columns.
struct Source<'a> {
    stream: &'a [f32],
    stride: usize,
    first_column: usize,
    inputs: usize,
    /// `[d, inputs]` and `[d]`, at layer level.
    linear: Option<(Vec<f64>, Vec<f32>)>,
}

impl Source<'_> {
    /// Row t of the stream.
    fn input(&self, t: usize) -> Vec<f64> {
        widen(&self.stream[t * self.stride + self.first_column..][..self.inputs])
    }

    /// The head's vectors of the inputs of some rows, `[n ≤ ROWS, d]`.
    fn vectors(&self, inputs: Vec<f64>) -> Vec<f64> {
        match &self.linear {
            None => inputs,
            Some((weight, bias)) => exact::linear_rows(&inputs, weight, bias, self.inputs),
        }
    }
}

/// One head of the first sequence.
struct Head<'a> {
    spec: Spec,
    features: Features,
    /// Query, key, value.
    sources: [Source<'a>; 3],
}

/// Sums of one query without ε; the exponentials are relative to the largest key projection so far.
struct Gathered {
    row: usize,
    /// q′ without m^(−1/2).
    query: Vec<f64>,
    /// Σ weight · value input, and Σ weight.
    weighted: Vec<f64>,
    weight: f64,
    /// Σ value input, and the number of keys: the factors of ε.
    plain: Vec<f64>,
    keys: f64,
}

impl Gathered {
    /// Makes the exponentials relative to another maximum.
    fn scale(&mut self, factor: f64) {
        self.weight *= factor;
        self.weighted.iter_mut().for_each(|value| *value *= factor);
    }
}

impl<'a> Head<'a> {
    fn new(spec: &Spec, case: &'a Case, head: usize) -> Result<Self, MixerError> {
        let (tensors, d_head) = (&case.tensors, spec.d_head);
        let sources = match spec.level {
            Level::Core => spec.streams(tensors)?.map(|stream| Source {
                stream,
                stride: spec.inner(),
                first_column: head * d_head,
                inputs: d_head,
                linear: None,
            }),
            Level::Layer => {
                let (stream, width) = (spec.input(tensors)?, spec.dims.d_model);
                let source = |name: &str| -> Result<Source<'a>, MixerError> {
                    let (weight, bias) = spec.linear(tensors, name)?;
                    let bias =
                        bias.map_or_else(|| vec![0.0; d_head], |b| b[head * d_head..][..d_head].to_vec());
                    let weight = widen(&weight[head * d_head * width..][..d_head * width]);
                    let linear = Some((weight, bias));
                    Ok(Source { stream, stride: width, first_column: 0, inputs: width, linear })
                };
                [source("query")?, source("key")?, source("value")?]
            }
        };
        let features = Features::new(spec, spec.projection(tensors)?, &mut OpCount::default());
        Ok(Self { spec: *spec, features, sources })
    }

    /// Output of the core at `rows`, `[d]` each.
    fn rows(&self, rows: &[usize]) -> Vec<Vec<f64>> {
        let [query, key, value] = &self.sources;
        let mut gathered: Vec<Gathered> = rows.iter().map(|&row| self.start(query, row)).collect();
        let length = self.spec.dims.seq_len;
        let mut maximum = f64::NEG_INFINITY;
        for first in (0..length).step_by(exact::ROWS) {
            let block = first..(first + exact::ROWS).min(length);
            let keys = key.vectors(block.clone().flat_map(|t| key.input(t)).collect());
            let keys = self.features.project_rows(&keys);
            let before = maximum;
            maximum = keys.iter().map(|key| key.maximum).fold(before, f64::max);
            // By the definition of decoding, later keys do not change the maximum of a row.
            for gathered in gathered.iter_mut().filter(|row| !self.spec.decode || row.row >= first) {
                gathered.scale((before - maximum).exp());
            }
            for (t, key) in block.clone().zip(&keys) {
                self.see(&mut gathered, t, key, maximum, value);
            }
            for gathered in gathered.iter_mut().filter(|row| self.spec.decode && block.contains(&row.row)) {
                let seen = &keys[..=gathered.row - first];
                let own = seen.iter().map(|key| key.maximum).fold(before, f64::max);
                gathered.scale((maximum - own).exp());
            }
        }
        gathered.iter().map(|gathered| self.finish(gathered, value)).collect()
    }

    fn start(&self, query: &Source<'_>, row: usize) -> Gathered {
        let projected = self.features.project_rows(&query.vectors(query.input(row)));
        let query =
            projected.iter().flat_map(|q| exponentials(q, q.maximum)).map(|e| e + self.spec.kernel_eps);
        let inputs = self.sources[2].inputs;
        Gathered {
            row,
            query: query.collect(),
            weighted: vec![0.0; inputs],
            weight: 0.0,
            plain: vec![0.0; inputs],
            keys: 0.0,
        }
    }

    /// Adds key t to every query that may see it.
    fn see(&self, gathered: &mut [Gathered], t: usize, key: &Projected, maximum: f64, value: &Source<'_>) {
        if !gathered.iter().any(|gathered| !self.spec.causal || t <= gathered.row) {
            return;
        }
        let (exponentials, input) = (exponentials(key, maximum), value.input(t));
        for gathered in gathered.iter_mut().filter(|gathered| !self.spec.causal || t <= gathered.row) {
            let weight: f64 = gathered.query.iter().zip(&exponentials).map(|(q, e)| q * e).sum();
            gathered.weight += weight;
            gathered.weighted.iter_mut().zip(&input).for_each(|(to, from)| *to += weight * from);
            gathered.plain.iter_mut().zip(&input).for_each(|(to, from)| *to += from);
            gathered.keys += 1.0;
        }
    }

    fn finish(&self, gathered: &Gathered, value: &Source<'_>) -> Vec<f64> {
        let query: f64 = gathered.query.iter().sum();
        let eps = self.spec.kernel_eps * query;
        let total = gathered.weight + eps * gathered.keys;
        let denominator = total + self.spec.unscaled_eta() * query;
        // Average the value inputs first, so that a bias counts once, like the sum of the weights.
        let inputs = gathered.weighted.iter().zip(&gathered.plain).map(|(w, p)| (w + eps * p) / total);
        let mean = value.vectors(inputs.collect());
        mean.into_iter().map(|mean| mean * total / denominator).collect()
    }
}

fn exponentials(of: &Projected, maximum: f64) -> Vec<f64> {
    of.p.iter().map(|p| (p - of.n - maximum).exp()).collect()
}
