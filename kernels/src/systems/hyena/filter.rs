//! The implicit filter: a sine network of the position, multiplied by exponential windows (paper, section 3.3; the
//! reference's `HyenaFilter`). It depends only on weights, so it is computed at set-up, in f64: each layer of sines
//! amplifies rounding about tenfold.

use mixer::{Count, MixerError, Parallel, Params, Tensors, gather, room};

use crate::dims::Dims;
use crate::generate::Generator;
use crate::ops::exact::dot;
use crate::ops::parts::for_each;

/// The filter's configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilterSpec {
    /// Filter values per position: width · (order − 1).
    pub channels: usize,
    /// The length that the filter is built for, the longest possible one. Filters depend on it.
    pub l_max: usize,
    /// Number of positional features.
    pub emb_dim: usize,
    /// Width of the network.
    pub width: usize,
    /// Number of inner layers.
    pub inner: usize,
    /// Whether the exponential window applies.
    pub modulate: bool,
    /// Constant added to the window.
    pub shift: f64,
    /// Whether each position is normalised over channels.
    pub normalized: bool,
    /// Whether the convolutions have a skip.
    pub bias: bool,
    /// Frequency of new weights.
    pub w: f64,
    /// Window decay of new weights: slowest channel, fastest channel and target.
    pub decay: [f64; 3],
}

impl FilterSpec {
    /// Reads and checks the configuration of a case.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`].
    pub fn read(config: &Params, dims: Dims, order: usize) -> Result<Self, MixerError> {
        let emb_dim = config.count_or("emb_dim", 3, 3, 1025)?;
        if emb_dim.is_multiple_of(2) {
            return Err(MixerError::invalid("emb_dim", "an odd number from 3", emb_dim));
        }
        Ok(Self {
            channels: dims.d_model * (order - 1),
            l_max: config.count("l_max", 1, mixer::Problem::MAX_PLANNED_SEQ_LEN)?,
            emb_dim,
            width: config.count_or("filter_order", 16, 1, 4096)?,
            inner: config.count_or("num_inner_mlps", 2, 0, 16)?,
            modulate: config.flag_or("modulate", true)?,
            shift: config.number_or("shift", 0.0, -1e6, 1e6)?,
            normalized: config.flag_or("normalized", false)?,
            bias: config.flag_or("bias", true)?,
            w: config.number_or("w", 1.0, -1e6, 1e6)?,
            decay: [
                config.number_or("slow_decay_pct", 1.5, 1e-6, 1e6)?,
                config.number_or("fast_decay_pct", 0.3, 1e-6, 1e6)?,
                config.number_or("target", 0.01, 1e-12, 1.0)?,
            ],
        })
    }

    /// Operations for `positions` positions: 2(EF + JF² + FC) each. Sines and exponentials are not counted.
    pub fn flops(&self, positions: usize) -> Count {
        let [width, channels, embedding] = Count::all([self.width, self.channels, self.emb_dim]);
        let [inner, positions] = Count::all([self.inner, positions]);
        2 * positions * (embedding * width + inner * width * width + width * channels)
    }

    /// [`FilterSpec::flops`] without the output layer.
    pub fn hidden_flops(&self, positions: usize) -> u64 {
        let [width, channels, positions_in] = Count::all([self.width, self.channels, positions]);
        (self.flops(positions) - 2 * positions_in * width * channels).get()
    }

    /// Number of floats in the filter's parameters.
    pub fn param_floats(&self) -> Count {
        let [width, channels, embedding] = Count::all([self.width, self.channels, self.emb_dim]);
        let [inner, positions] = Count::all([self.inner, self.l_max]);
        positions * (embedding + 1)
            + width * (embedding + 1 + inner * (width + 1) + channels + 1)
            + 2 * channels
    }
}

/// Network weights in f64, checked against the spec.
#[derive(Debug)]
pub struct Filter<'a> {
    spec: FilterSpec,
    features: &'a [f32],
    times: &'a [f32],
    layers: Vec<(usize, Vec<f64>, Vec<f64>)>,
    out: Vec<f64>,
    freq: Vec<f64>,
    deltas: Vec<f64>,
}

impl<'a> Filter<'a> {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`MixerError::MissingTensor`] or [`MixerError::TensorShape`].
    pub fn new(spec: &FilterSpec, tensors: &'a Tensors) -> Result<Self, MixerError> {
        let widen = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
        let mut layers = Vec::new();
        for layer in 0..=spec.inner {
            let inputs = if layer == 0 { spec.emb_dim } else { spec.width };
            let weight =
                tensors.floats(&format!("param.filter_fn.mlp.{layer}.weight"), &[spec.width, inputs])?;
            let bias = tensors.floats(&format!("param.filter_fn.mlp.{layer}.bias"), &[spec.width])?;
            layers.push((inputs, widen(weight), widen(bias)));
        }
        Ok(Self {
            spec: *spec,
            features: tensors.floats("param.filter_fn.pos_emb.z", &[1, spec.l_max, spec.emb_dim])?,
            times: tensors.floats("param.filter_fn.pos_emb.t", &[1, spec.l_max, 1])?,
            layers,
            out: widen(tensors.floats("param.filter_fn.mlp.out.weight", &[spec.channels, spec.width])?),
            freq: widen(tensors.floats("param.filter_fn.freq", &[1, spec.width])?),
            deltas: widen(tensors.floats("param.filter_fn.modulation.deltas", &[1, 1, spec.channels])?),
        })
    }

    /// The filters at position `n`, `[channels]`; entry d·(order − 1) + o is filter o of channel d.
    fn at(&self, n: usize, hidden: &mut Vec<f64>, out: &mut [f64]) {
        hidden.clear();
        hidden.extend(
            self.features[n * self.spec.emb_dim..][..self.spec.emb_dim].iter().map(|&z| f64::from(z)),
        );
        for (inputs, weight, bias) in &self.layers {
            let next: Vec<f64> = weight
                .chunks_exact(*inputs)
                .zip(bias)
                .zip(&self.freq)
                .map(|((row, bias), freq)| (freq * (dot(row, hidden) + bias)).sin())
                .collect();
            *hidden = next;
        }
        let t = f64::from(self.times[n]);
        for ((to, row), delta) in out.iter_mut().zip(self.out.chunks_exact(self.spec.width)).zip(&self.deltas)
        {
            *to = dot(row, hidden);
            if self.spec.modulate {
                *to *= (-t * delta.abs()).exp() + self.spec.shift;
            }
        }
        if self.spec.normalized {
            let norm: f64 = out.iter().map(|value| value.abs()).sum();
            out.iter_mut().for_each(|value| *value /= norm);
        }
    }

    /// Fills `h`, `[positions, channels]`, in parallel.
    pub fn evaluate(&self, h: &mut [f32], parallel: &dyn Parallel) {
        let channels = self.spec.channels;
        let blocks = h.chunks_mut(64 * channels).enumerate();
        for_each(parallel, blocks.len(), blocks, |(block, rows), _| {
            let (mut hidden, mut row) = (Vec::new(), vec![0.0; channels]);
            for (offset, to) in rows.chunks_exact_mut(channels).enumerate() {
                self.at(block * 64 + offset, &mut hidden, &mut row);
                to.iter_mut().zip(&row).for_each(|(to, from)| *to = *from as f32);
            }
        });
    }
}

/// The filters in f64, `[positions, channels]`.
///
/// # Errors
/// [`MixerError::MissingTensor`] or [`MixerError::TensorShape`].
pub fn evaluate_f64(spec: &FilterSpec, tensors: &Tensors, positions: usize) -> Result<Vec<f64>, MixerError> {
    let filter = Filter::new(spec, tensors)?;
    let mut h = vec![0.0; positions * spec.channels];
    let mut hidden = Vec::new();
    for (n, row) in h.chunks_exact_mut(spec.channels).enumerate() {
        filter.at(n, &mut hidden, row);
    }
    Ok(h)
}

/// New parameters, initialised as in the reference.
///
/// # Errors
/// [`MixerError::OutOfMemory`].
pub fn seed(spec: &FilterSpec, generator: &Generator, tensors: &mut Tensors) -> Result<(), MixerError> {
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
    tensors.insert("param.filter_fn.pos_emb.z", &[1, length, spec.emb_dim], features);
    tensors.insert("param.filter_fn.pos_emb.t", &[1, length, 1], times);
    for layer in 0..=spec.inner {
        let inputs = if layer == 0 { spec.emb_dim } else { spec.width };
        let bound = 1.0 / (inputs as f32).sqrt();
        generator.uniform(
            tensors,
            &format!("param.filter_fn.mlp.{layer}.weight"),
            &[spec.width, inputs],
            bound,
        )?;
        generator.uniform(tensors, &format!("param.filter_fn.mlp.{layer}.bias"), &[spec.width], bound)?;
    }
    let bound = 1.0 / (spec.width as f32).sqrt();
    generator.uniform(tensors, "param.filter_fn.mlp.out.weight", &[spec.channels, spec.width], bound)?;
    tensors.insert("param.filter_fn.freq", &[1, spec.width], vec![spec.w as f32; spec.width]);
    let [slow, fast, target] = spec.decay;
    let deltas = (0..spec.channels)
        .map(|c| linspace(target.ln() / slow, target.ln() / fast, spec.channels, c) as f32)
        .collect();
    tensors.insert("param.filter_fn.modulation.deltas", &[1, 1, spec.channels], deltas);
    generator.unit(tensors, "param.filter_fn.bias", &[spec.channels])
}

/// Value `index` of `count` equally spaced values from `low` to `high`; `low` if `count` is 1.
fn linspace(low: f64, high: f64, count: usize, index: usize) -> f64 {
    if count < 2 { low } else { low + (high - low) * index as f64 / (count - 1) as f64 }
}
