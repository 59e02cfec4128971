//! The implicit filters: sine networks of the position, multiplied by exponential windows (the reference's
//! `HyenaFilter`).
//!
//! A set holds the forward network and, in a bidirectional mixer, the reverse network. Both share positions, window,
//! skip and frequencies. Filters depend only on weights, so they are computed at set-up, in f64: each layer of sines
//! amplifies rounding about tenfold.

use mixer::{Count, MixerError, Parallel, Params, Problem, Tensors, gather, room};

use crate::generate::Generator;
use crate::ops::exact_lanes::{TOGETHER, product, sines};
use crate::ops::parts::for_each;

/// Number of inner layers, fixed in the reference.
const INNER: usize = 2;

/// The reference's constants of the window: slowest and fastest decay, and the value at the end of the decay.
const DECAY: [f64; 3] = [1.5, 0.3, 0.01];

/// The filters' configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilterSpec {
    /// Model width: one filter for each channel.
    pub channels: usize,
    /// The length that the filter is built for, the longest possible one. Positions are divided by it.
    pub l_max: usize,
    /// Number of positional features.
    pub emb_dim: usize,
    /// Width of the network.
    pub width: usize,
    /// Frequency of new weights.
    pub w: f64,
    /// Factor of the frequencies.
    pub w_mod: f64,
}

impl FilterSpec {
    /// Reads and checks the configuration of a case.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`].
    pub fn read(config: &Params, channels: usize) -> Result<Self, MixerError> {
        let emb_dim = config.count_or("emb_dim", 5, 3, 1025)?;
        if emb_dim.is_multiple_of(2) {
            return Err(MixerError::invalid("emb_dim", "an odd number from 3", emb_dim));
        }
        Ok(Self {
            channels,
            l_max: config.count("l_max", 1, Problem::MAX_PLANNED_SEQ_LEN)?,
            emb_dim,
            width: config.count_or("filter_order", 128, 1, 4096)?,
            w: config.number_or("w", 10.0, -1e6, 1e6)?,
            w_mod: config.number_or("w_mod", 1.0, -1e6, 1e6)?,
        })
    }

    /// Operations of one network for `positions` positions: 2(EF + 2F² + FD) each. Sines and exponentials are not
    /// counted.
    pub fn flops(&self, positions: usize) -> Count {
        let [width, embedding, inner] = Count::all([self.width, self.emb_dim, INNER]);
        let [channels, positions] = Count::all([self.channels, positions]);
        2 * positions * (embedding * width + inner * width * width + width * channels)
    }

    /// [`FilterSpec::flops`] without the output layer.
    pub fn hidden_flops(&self, positions: usize) -> u64 {
        let [width, channels, positions_in] = Count::all([self.width, self.channels, positions]);
        (self.flops(positions) - 2 * positions_in * width * channels).get()
    }

    /// Floats of a set of `networks` networks and their shared parameters.
    pub fn param_floats(&self, networks: usize) -> Count {
        let [width, embedding, inner] = Count::all([self.width, self.emb_dim, INNER]);
        let [channels, positions, networks] = Count::all([self.channels, self.l_max, networks]);
        let network = width * (embedding + 1 + inner * (width + 1) + channels);
        networks * network + positions * (embedding + 1) + width + 2 * channels
    }

    /// Number of hidden layers of a network.
    pub fn layers(&self) -> usize {
        INNER + 1
    }

    fn layer_inputs(&self, layer: usize) -> usize {
        if layer == 0 { self.emb_dim } else { self.width }
    }
}

/// One network, in f64.
#[derive(Debug)]
struct Network {
    /// Number of inputs, weight `[width, inputs]` and bias of each layer.
    layers: Vec<(usize, Vec<f64>, Vec<f64>)>,
    /// `[channels, width]`.
    out: Vec<f64>,
}

/// The filters of one convolution.
#[derive(Debug)]
pub struct Filters<'a> {
    spec: FilterSpec,
    features: &'a [f32],
    times: &'a [f32],
    /// Frequencies, multiplied by `w_mod`.
    freq: Vec<f64>,
    deltas: Vec<f64>,
    forward: Network,
    reverse: Option<Network>,
    /// β, `[channels]`.
    pub skip: &'a [f32],
}

/// Index of a network in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// k, for the past and the present.
    Forward,
    /// k_rev, for the future.
    Reverse,
}

impl<'a> Filters<'a> {
    /// Reads the set called `name`, `filter_fn` or `filter_fn2`.
    ///
    /// # Errors
    /// [`MixerError::MissingTensor`] or [`MixerError::TensorShape`].
    pub fn new(
        spec: &FilterSpec,
        tensors: &'a Tensors,
        name: &str,
        bidirectional: bool,
    ) -> Result<Self, MixerError> {
        let (width, channels) = (spec.width, spec.channels);
        let network = |filter: &str| -> Result<Network, MixerError> {
            let prefix = format!("param.{name}.{filter}");
            let mut layers = Vec::new();
            for layer in 0..=INNER {
                let inputs = spec.layer_inputs(layer);
                let weight = tensors.floats(&format!("{prefix}.{layer}.weight"), &[width, inputs])?;
                let bias = tensors.floats(&format!("{prefix}.{layer}.bias"), &[width])?;
                layers.push((inputs, widen(weight), widen(bias)));
            }
            let out = widen(tensors.floats(&format!("{prefix}.out.weight"), &[channels, width])?);
            Ok(Network { layers, out })
        };
        let shared = |tensor: &str, shape: &[usize]| tensors.floats(&format!("param.{name}.{tensor}"), shape);
        Ok(Self {
            spec: *spec,
            features: shared("pos_emb.z", &[1, spec.l_max, spec.emb_dim])?,
            times: shared("pos_emb.t", &[1, spec.l_max, 1])?,
            freq: shared("freq", &[1, width])?.iter().map(|&f| spec.w_mod * f64::from(f)).collect(),
            deltas: widen(shared("modulation.deltas", &[1, 1, channels])?),
            forward: network("implicit_filter")?,
            reverse: if bidirectional { Some(network("implicit_filter_rev")?) } else { None },
            skip: shared("bias", &[channels])?,
        })
    }

    /// The last hidden layer at up to [`TOGETHER`] positions, `[width]`, one lane per position.
    fn hidden(&self, network: &Network, first: usize, lanes: usize) -> Vec<[f64; TOGETHER]> {
        let emb_dim = self.spec.emb_dim;
        let mut hidden = vec![[0.0; TOGETHER]; emb_dim];
        for lane in 0..lanes {
            let features = &self.features[(first + lane) * emb_dim..][..emb_dim];
            hidden.iter_mut().zip(features).for_each(|(to, &z)| to[lane] = f64::from(z));
        }
        for (inputs, weight, bias) in &network.layers {
            let next = weight.chunks_exact(*inputs).zip(bias).zip(&self.freq).map(|((row, bias), freq)| {
                let sum = product(row, &hidden);
                sines(sum.map(|sum| freq * (sum + bias)))
            });
            let next = next.collect();
            hidden = next;
        }
        hidden
    }

    /// The filters at up to [`TOGETHER`] positions: `out` is `[channels]`, one lane per position.
    fn at(&self, network: &Network, first: usize, lanes: usize, out: &mut [[f64; TOGETHER]]) {
        let hidden = self.hidden(network, first, lanes);
        let mut times = [0.0; TOGETHER];
        for (to, &t) in times.iter_mut().zip(&self.times[first..first + lanes]) {
            *to = f64::from(t);
        }
        for ((to, row), delta) in
            out.iter_mut().zip(network.out.chunks_exact(self.spec.width)).zip(&self.deltas)
        {
            *to = product(row, &hidden);
            to.iter_mut().zip(&times).for_each(|(to, t)| *to *= (-t * delta.abs()).exp());
        }
    }

    fn network(&self, direction: Direction) -> Option<&Network> {
        match direction {
            Direction::Forward => Some(&self.forward),
            Direction::Reverse => self.reverse.as_ref(),
        }
    }

    /// Fills `h`, `[positions, channels]`, in parallel; zeros if the set has no such network.
    pub fn evaluate(&self, direction: Direction, h: &mut [f32], parallel: &dyn Parallel) {
        let Some(network) = self.network(direction) else { return h.fill(0.0) };
        let channels = self.spec.channels;
        let blocks = h.chunks_mut(4 * TOGETHER * channels).enumerate();
        for_each(parallel, blocks.len(), blocks, |(block, rows), _| {
            let mut values = vec![[0.0; TOGETHER]; channels];
            for (part, rows) in rows.chunks_mut(TOGETHER * channels).enumerate() {
                self.at(network, (4 * block + part) * TOGETHER, rows.len() / channels, &mut values);
                for (lane, row) in rows.chunks_exact_mut(channels).enumerate() {
                    row.iter_mut().zip(&values).for_each(|(to, from)| *to = from[lane] as f32);
                }
            }
        });
    }

    /// Calls `emit(position, channel, value)` for every filter value at `positions`.
    pub fn for_each(
        &self,
        direction: Direction,
        positions: std::ops::Range<usize>,
        mut emit: impl FnMut(usize, usize, f64),
    ) {
        let Some(network) = self.network(direction) else { return };
        let mut values = vec![[0.0; TOGETHER]; self.spec.channels];
        for first in positions.clone().step_by(TOGETHER) {
            let lanes = TOGETHER.min(positions.end - first);
            self.at(network, first, lanes, &mut values);
            for (channel, value) in values.iter().enumerate() {
                for (lane, value) in value[..lanes].iter().enumerate() {
                    emit(first + lane, channel, *value);
                }
            }
        }
    }
}

/// New parameters of the set `name`, initialised as in the reference.
pub fn seed(
    spec: &FilterSpec,
    name: &str,
    bidirectional: bool,
    generator: &Generator,
    tensors: &mut Tensors,
) -> Result<(), MixerError> {
    let (length, bands) = (spec.l_max, (spec.emb_dim - 1) / 2);
    let time = |n| n as f32 / length.saturating_sub(1).max(1) as f32;
    let times: Vec<f32> = gather(length, (0..length).map(time))?;
    let mut features = room(Count::from(length) * Count::from(spec.emb_dim))?;
    for (n, &t) in times.iter().enumerate() {
        let omega = std::f64::consts::TAU * n as f64 / length as f64;
        let frequency = |band: usize| linspace(1e-4, bands as f64 - 1.0, bands, band);
        features.push(t);
        features.extend((0..bands).map(|band| (frequency(band) * omega).cos() as f32));
        features.extend((0..bands).map(|band| -(frequency(band) * omega).sin() as f32));
    }
    tensors.insert(format!("param.{name}.pos_emb.z"), &[1, length, spec.emb_dim], features);
    tensors.insert(format!("param.{name}.pos_emb.t"), &[1, length, 1], times);
    let networks =
        if bidirectional { &["implicit_filter", "implicit_filter_rev"][..] } else { &["implicit_filter"] };
    for network in networks {
        let prefix = format!("param.{name}.{network}");
        for layer in 0..=INNER {
            let inputs = spec.layer_inputs(layer);
            let bound = 1.0 / (inputs as f32).sqrt();
            generator.uniform(tensors, &format!("{prefix}.{layer}.weight"), &[spec.width, inputs], bound)?;
            generator.uniform(tensors, &format!("{prefix}.{layer}.bias"), &[spec.width], bound)?;
        }
        let bound = 1.0 / (spec.width as f32).sqrt();
        generator.uniform(tensors, &format!("{prefix}.out.weight"), &[spec.channels, spec.width], bound)?;
    }
    tensors.insert(format!("param.{name}.freq"), &[1, spec.width], vec![spec.w as f32; spec.width]);
    let [slow, fast, target] = DECAY;
    let deltas = (0..spec.channels)
        .map(|c| linspace(target.ln() / slow, target.ln() / fast, spec.channels, c) as f32)
        .collect();
    tensors.insert(format!("param.{name}.modulation.deltas"), &[1, 1, spec.channels], deltas);
    generator.unit(tensors, &format!("param.{name}.bias"), &[spec.channels])
}

/// Value `index` of `count` equally spaced values from `low` to `high`; `low` if `count` is 1.
fn linspace(low: f64, high: f64, count: usize, index: usize) -> f64 {
    if count < 2 { low } else { low + (high - low) * index as f64 / (count - 1) as f64 }
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}
