//! Performer in f64, one position at a time, straight from the equations.

use mixer::{Case, Level, MixerError, OpCount};

use super::Spec;
use crate::ops::exact;
use crate::ops::exact::{linear, widen};

/// Outputs `[batch, length, width]` in f64; `inner` wide at core level.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let spec = Spec::read(case)?;
    let tensors = &case.tensors;
    let features = Features::new(&spec, spec.projection(tensors)?, count);
    let (q, k, v) = match spec.level {
        Level::Core => {
            let [q, k, v] = spec.streams(tensors)?;
            (widen(q), widen(k), widen(v))
        }
        Level::Layer => {
            let x = widen(spec.input(tensors)?);
            let mut project = |name: &str| -> Result<Vec<f64>, MixerError> {
                let (weight, bias) = spec.linear(tensors, name)?;
                Ok(linear(&x, weight, bias, spec.dims.d_model, count))
            };
            (project("query")?, project("key")?, project("value")?)
        }
    };
    let core = mix(&spec, &features, &q, &k, &v, count);
    if spec.level == Level::Core {
        return Ok(core);
    }
    let (weight, bias) = spec.linear(tensors, "out")?;
    Ok(linear(&core, weight, bias, spec.inner(), count))
}

fn mix(spec: &Spec, features: &Features, q: &[f64], k: &[f64], v: &[f64], count: &mut OpCount) -> Vec<f64> {
    let (length, inner, d_head) = (spec.dims.seq_len, spec.inner(), spec.d_head);
    let mut core = vec![0.0; q.len()];
    for sequence in 0..spec.dims.batch {
        for head in 0..spec.n_heads {
            let at = |t: usize| (sequence * length + t) * inner + head * d_head;
            let keys: Vec<Projected> =
                (0..length).map(|t| features.project(&k[at(t)..][..d_head], count)).collect();
            let maximum = keys.iter().map(|key| key.maximum).fold(f64::NEG_INFINITY, f64::max);
            let mut sums = Sums::new(spec);
            let mut running = RunningSums::new(spec);
            if !spec.causal {
                for (t, key) in keys.iter().enumerate() {
                    sums.add(&features.positive(key, maximum), &v[at(t)..][..d_head], count);
                }
            }
            for (t, key) in keys.iter().enumerate() {
                if spec.decode {
                    sums = running.add(features, key, &v[at(t)..][..d_head], count);
                } else if spec.causal {
                    sums.add(&features.positive(key, maximum), &v[at(t)..][..d_head], count);
                }
                let query = features.project(&q[at(t)..][..d_head], count);
                let query = features.positive(&query, query.maximum);
                core[at(t)..][..d_head].copy_from_slice(&sums.read(&query, spec.denominator_eps, count));
            }
        }
    }
    core
}

/// p(a), its largest entry and n(a) of a vector a.
pub(super) struct Projected {
    pub p: Vec<f64>,
    pub maximum: f64,
    pub n: f64,
}

/// The feature map.
pub(super) struct Features {
    spec: Spec,
    /// W d^(−1/4), `[m, d]`.
    projection: Vec<f64>,
}

impl Features {
    pub(super) fn new(spec: &Spec, projection: &[f32], count: &mut OpCount) -> Self {
        let scale = spec.projection_scale();
        count.add_setup(projection.len());
        let projection = projection.iter().map(|&value| scale * f64::from(value)).collect();
        Self { spec: *spec, projection }
    }

    pub(super) fn project(&self, a: &[f64], count: &mut OpCount) -> Projected {
        let p = self.projection.chunks_exact(a.len()).map(|row| exact::dot(row, a)).collect();
        count.add(2 * self.projection.len() + 2 * a.len());
        self.projected(p, a)
    }

    /// [`Features::project`] for several vectors, `[rows, d]`.
    pub(super) fn project_rows(&self, vectors: &[f64]) -> Vec<Projected> {
        let (m, d) = (self.spec.n_features, self.spec.d_head);
        let p = exact::linear_rows(vectors, &self.projection, &vec![0.0; m], d);
        let rows = p.chunks_exact(m).zip(vectors.chunks_exact(d));
        rows.map(|(p, a)| self.projected(p.to_vec(), a)).collect()
    }

    fn projected(&self, p: Vec<f64>, a: &[f64]) -> Projected {
        Projected {
            maximum: p.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            n: self.spec.norm_scale() * exact::dot(a, a),
            p,
        }
    }

    /// m^(−1/2) (exp(p − n − maximum) + ε).
    pub(super) fn positive(&self, of: &Projected, maximum: f64) -> Vec<f64> {
        self.features(of, maximum, self.spec.kernel_eps)
    }

    fn features(&self, of: &Projected, maximum: f64, eps: f64) -> Vec<f64> {
        let scale = 1.0 / (self.spec.n_features as f64).sqrt();
        of.p.iter().map(|p| scale * ((p - of.n - maximum).exp() + eps)).collect()
    }
}

/// S `[m, d]` and z `[m]` of a head: the sums over the keys so far.
pub(super) struct Sums {
    products: Vec<f64>,
    totals: Vec<f64>,
    d_head: usize,
}

impl Sums {
    pub(super) fn new(spec: &Spec) -> Self {
        Self {
            products: vec![0.0; spec.n_features * spec.d_head],
            totals: vec![0.0; spec.n_features],
            d_head: spec.d_head,
        }
    }

    pub(super) fn add(&mut self, key: &[f64], value: &[f64], count: &mut OpCount) {
        for ((key, products), total) in
            key.iter().zip(self.products.chunks_exact_mut(self.d_head)).zip(&mut self.totals)
        {
            products.iter_mut().zip(value).for_each(|(to, from)| *to += key * from);
            *total += key;
        }
        count.add(2 * key.len() * (self.d_head + 1));
    }

    /// qᵀS / (qᵀ(z + η)).
    pub(super) fn read(&self, query: &[f64], eta: f64, count: &mut OpCount) -> Vec<f64> {
        let mut numerator = vec![0.0; self.d_head];
        let mut denominator = 0.0;
        for ((query, products), total) in
            query.iter().zip(self.products.chunks_exact(self.d_head)).zip(&self.totals)
        {
            numerator.iter_mut().zip(products).for_each(|(to, from)| *to += query * from);
            denominator += query * (total + eta);
        }
        count.add(2 * query.len() * (self.d_head + 1));
        numerator.iter_mut().for_each(|value| *value /= denominator);
        numerator
    }
}

/// The sums by the definition of decoding: those over the keys so far, relative to their largest projection.
struct RunningSums {
    maximum: f64,
    /// Without ε.
    exponentials: Sums,
    /// The part of ε, to which all keys contribute alike.
    floor: Sums,
}

impl RunningSums {
    fn new(spec: &Spec) -> Self {
        Self { maximum: f64::NEG_INFINITY, exponentials: Sums::new(spec), floor: Sums::new(spec) }
    }

    /// S and z after one more key and its value.
    fn add(&mut self, features: &Features, key: &Projected, value: &[f64], count: &mut OpCount) -> Sums {
        let highest = self.maximum.max(key.maximum);
        let factor = (self.maximum - highest).exp();
        let Sums { products, totals, .. } = &mut self.exponentials;
        products.iter_mut().chain(totals).for_each(|sum| *sum *= factor);
        self.maximum = highest;
        self.exponentials.add(&features.features(key, highest, 0.0), value, count);
        let m = features.spec.n_features;
        let eps = features.spec.kernel_eps / (m as f64).sqrt();
        self.floor.add(&vec![eps; m], value, count);
        let plus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect();
        Sums {
            products: plus(&self.exponentials.products, &self.floor.products),
            totals: plus(&self.exponentials.totals, &self.floor.totals),
            d_head: self.floor.d_head,
        }
    }
}
