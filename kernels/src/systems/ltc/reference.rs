//! The liquid time-constant network in f64, neuron by neuron, straight from the equations (Hasani et al., arXiv
//! 2006.04439, algorithm 1, the fused solver).

use mixer::{Case, MixerError, OpCount, SpotCheck, SpotDraw, Tensors};

use super::{Map, Spec, Synapses};
use crate::echo_state_washout::{self, State};
use crate::lstm;

/// Operations of one synapse: scale, shift, logistic function (taken as five), weight, reversal, two sums.
pub(super) const SYNAPSE_FLOPS: usize = 12;

/// Operations of one unit's update beside its synapses.
pub(super) const UNIT_FLOPS: usize = 6;

/// `[batch, length, output_dim]` in f64.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let network = Network::new(case, count)?;
    let dims = network.spec.dims;
    let mut y = Vec::with_capacity(dims.batch * dims.seq_len * network.spec.outputs);
    for sequence in 0..dims.batch {
        let mut state = network.initial(sequence)?;
        for t in 0..dims.seq_len {
            y.extend(network.step(&mut state, sequence * dims.seq_len + t, count));
        }
    }
    Ok(y)
}

/// Rows of the first sequence: its beginning, and others as far as the network forgets what came before them.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let network = Network::new(case, &mut OpCount::default())?;
    let mut count = OpCount::default();
    network.step(&mut network.initial(0)?, 0, &mut count);
    let step = |state: &mut State, t: usize| network.step(state, t, &mut OpCount::default());
    Ok(echo_state_washout::spot_check(
        network.spec.dims.seq_len,
        network.initial(0)?,
        count.flops,
        draw,
        step,
    ))
}

/// A case's network, read and made positive.
struct Network<'a> {
    spec: Spec,
    tensors: &'a Tensors,
    x: &'a [f32],
    times: Option<&'a [f32]>,
    recurrent: Positive,
    sensory: Positive,
    gleak: &'a [f32],
    vleak: &'a [f32],
    cm: &'a [f32],
    input_map: Map<'a>,
    output_map: Map<'a>,
    lstm: Option<lstm::Weights<'a>>,
}

impl<'a> Network<'a> {
    fn new(case: &'a Case, count: &mut OpCount) -> Result<Self, MixerError> {
        let spec = Spec::read(case)?;
        let tensors = &case.tensors;
        let [gleak, vleak, cm] = spec.neurons(tensors)?;
        Ok(Self {
            spec,
            tensors,
            x: spec.input(tensors)?,
            times: spec.times(tensors)?,
            recurrent: Positive::new(&spec, &spec.recurrent(tensors)?, count),
            sensory: Positive::new(&spec, &spec.sensory(tensors)?, count),
            gleak,
            vleak,
            cm,
            input_map: spec.input_map(tensors)?,
            output_map: spec.output_map(tensors)?,
            lstm: if spec.mixed_memory {
                Some(lstm::Weights::read(tensors, spec.dims.d_model, spec.units)?)
            } else {
                None
            },
        })
    }

    fn initial(&self, sequence: usize) -> Result<State, MixerError> {
        let (h, m) = self.spec.initial(self.tensors, sequence)?;
        Ok(State { h, m: if self.lstm.is_some() { m } else { Vec::new() } })
    }

    /// One token, number `row` of all sequences together; returns its output.
    fn step(&self, state: &mut State, row: usize, count: &mut OpCount) -> Vec<f64> {
        let Self { spec, .. } = self;
        let (units, inputs) = (spec.units, spec.dims.d_model);
        let x_t: Vec<f64> = self.x[row * inputs..][..inputs].iter().map(|&value| f64::from(value)).collect();
        if let Some(lstm) = &self.lstm {
            lstm.step(&x_t, &mut state.h, &mut state.m, count);
        }
        let v = &mut state.h;
        let mut u = x_t;
        if let Some((scale, shift)) = self.input_map {
            for (i, u) in u.iter_mut().enumerate() {
                *u = *u * f64::from(scale[i]) + shift.map_or(0.0, |shift| f64::from(shift[i]));
            }
            count.add(2 * inputs);
        }
        let (sensory_numerator, sensory_denominator) = self.sensory.sums(&u, units, count);
        let elapsed = self.times.map_or(1.0, |times| f64::from(times[row])) / spec.unfolds as f64;
        for _ in 0..spec.unfolds {
            let (numerator, denominator) = self.recurrent.sums(v, units, count);
            for j in 0..units {
                let capacity = spec.positive(self.cm[j]) / elapsed;
                let leak = spec.positive(self.gleak[j]);
                let above =
                    capacity * v[j] + leak * f64::from(self.vleak[j]) + numerator[j] + sensory_numerator[j];
                let below = capacity + leak + denominator[j] + sensory_denominator[j] + spec.epsilon;
                v[j] = above / below;
            }
            count.add(UNIT_FLOPS * units);
        }
        if self.output_map.is_some() {
            count.add(2 * spec.outputs);
        }
        let scaled = |(j, &value): (usize, &f64)| match self.output_map {
            None => value,
            Some((scale, shift)) => {
                value * f64::from(scale[j]) + shift.map_or(0.0, |shift| f64::from(shift[j]))
            }
        };
        v[..spec.outputs].iter().enumerate().map(scaled).collect()
    }
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
