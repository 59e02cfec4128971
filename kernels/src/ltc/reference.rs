//! The liquid time-constant network in f64, neuron by neuron, straight from the equations (Hasani et al., arXiv
//! 2006.04439, algorithm 1, the fused solver).

use mixer::{Case, MixerError, OpCount, SpotCheck};

use super::{Spec, Synapses};
use crate::lstm;

/// Operations of one synapse: scale, shift, logistic function (taken as five), weight, reversal, two sums.
pub(super) const SYNAPSE_FLOPS: usize = 12;

/// Operations of one unit's update beside its synapses.
pub(super) const UNIT_FLOPS: usize = 6;

/// `[batch, length, output_dim]` in f64.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    steps(case, usize::MAX, count)
}

/// The first rows of the first sequence: a nonlinear recurrence has no short cut to later ones.
pub(super) fn spot_check(case: &Case, max_flops: u64) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let per_step = (spec.unfolds * spec.units + spec.dims.d_model) * spec.units * SYNAPSE_FLOPS;
    let affordable = usize::try_from(max_flops / per_step.max(1) as u64).unwrap_or(usize::MAX);
    let last = affordable.clamp(1, spec.dims.seq_len) - 1;
    let mut rows = vec![0, last / 2, last];
    rows.dedup();
    let y = steps(case, last + 1, &mut OpCount::default())?;
    let expected = rows.iter().flat_map(|row| y[row * spec.outputs..][..spec.outputs].to_vec()).collect();
    Ok(SpotCheck { rows, expected })
}

/// All sequences, or `most` steps of the first.
fn steps(case: &Case, most: usize, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let spec = Spec::read(case)?;
    let tensors = &case.tensors;
    let (units, inputs, length) = (spec.units, spec.dims.d_model, spec.dims.seq_len);
    let x = spec.input(tensors)?;
    let recurrent = Positive::new(&spec, &spec.recurrent(tensors)?, count);
    let sensory = Positive::new(&spec, &spec.sensory(tensors)?, count);
    let [gleak, vleak, cm] = spec.neurons(tensors)?;
    let input_map = spec.input_map(tensors)?;
    let output_map = spec.output_map(tensors)?;
    let lstm = if spec.mixed_memory { Some(lstm::Weights::read(tensors, inputs, units)?) } else { None };
    let sequences = if most >= length { spec.dims.batch } else { 1 };
    let mut y = Vec::new();
    for sequence in 0..sequences {
        let (mut v, mut m) = spec.initial(tensors, sequence)?;
        for t in 0..length.min(most) {
            let row = (sequence * length + t) * inputs;
            let x_t: Vec<f64> = x[row..row + inputs].iter().map(|&value| f64::from(value)).collect();
            if let Some(lstm) = &lstm {
                lstm.step(&x_t, &mut v, &mut m, count);
            }
            let mut u = x_t;
            if let Some((scale, shift)) = input_map {
                for (i, u) in u.iter_mut().enumerate() {
                    *u = *u * f64::from(scale[i]) + shift.map_or(0.0, |shift| f64::from(shift[i]));
                }
                count.add(2 * inputs);
            }
            let (sensory_numerator, sensory_denominator) = sensory.sums(&u, units, count);
            let elapsed = spec.elapsed(tensors, sequence, t)? / spec.unfolds as f64;
            for _ in 0..spec.unfolds {
                let (numerator, denominator) = recurrent.sums(&v, units, count);
                for j in 0..units {
                    let capacity = spec.positive(cm[j]) / elapsed;
                    let leak = spec.positive(gleak[j]);
                    let above =
                        capacity * v[j] + leak * f64::from(vleak[j]) + numerator[j] + sensory_numerator[j];
                    let below = capacity + leak + denominator[j] + sensory_denominator[j] + spec.epsilon;
                    v[j] = above / below;
                }
                count.add(UNIT_FLOPS * units);
            }
            y.extend(v[..spec.outputs].iter().enumerate().map(|(j, &value)| match output_map {
                None => value,
                Some((scale, shift)) => {
                    value * f64::from(scale[j]) + shift.map_or(0.0, |shift| f64::from(shift[j]))
                }
            }));
            if output_map.is_some() {
                count.add(2 * spec.outputs);
            }
        }
    }
    Ok(y)
}

/// The synapses that exist, with their weights made positive.
struct Positive(Vec<Synapse>);

struct Synapse {
    from: usize,
    to: usize,
    weight: f64,
    sigma: f64,
    mu: f64,
    erev: f64,
}

impl Positive {
    fn new(spec: &Spec, synapses: &Synapses<'_>, count: &mut OpCount) -> Self {
        let mut all = Vec::new();
        for (at, &mask) in synapses.mask.iter().enumerate() {
            let weight = spec.positive(synapses.w[at]) * f64::from(mask);
            if mask != 0.0 {
                all.push(Synapse {
                    from: at / spec.units,
                    to: at % spec.units,
                    weight,
                    sigma: f64::from(synapses.sigma[at]),
                    mu: f64::from(synapses.mu[at]),
                    erev: f64::from(synapses.erev[at]),
                });
                count.add_setup(super::SETUP_FLOPS);
            }
        }
        Self(all)
    }

    /// Σ a E and Σ a for each unit.
    fn sums(&self, v: &[f64], units: usize, count: &mut OpCount) -> (Vec<f64>, Vec<f64>) {
        let (mut numerator, mut denominator) = (vec![0.0; units], vec![0.0; units]);
        for synapse in &self.0 {
            let gate = 1.0 / (1.0 + (-synapse.sigma * (v[synapse.from] - synapse.mu)).exp());
            let activation = synapse.weight * gate;
            numerator[synapse.to] += activation * synapse.erev;
            denominator[synapse.to] += activation;
        }
        count.add(SYNAPSE_FLOPS * self.0.len());
        (numerator, denominator)
    }
}
