//! The closed-form network in f64, step by step, straight from the equations.

use mixer::{Case, MixerError, OpCount, SpotCheck, SpotDraw, Tensors};

use super::{Activation, CellSpec, Mode, Spec};
use crate::echo_state_washout::{self, State};
use crate::initial_state::initial_state;
use crate::lstm;
use crate::ops::exact;
use crate::ops::exact::widen;

/// Operations of one unit beside its heads.
pub(super) const UNIT_FLOPS: usize = 10;

/// `[batch, length, outputs]` in f64.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let spec = Spec::read(case)?;
    let network = Network::new(&spec, &case.tensors, count)?;
    let (batch, length) = (spec.dims.batch, spec.dims.seq_len);
    let mut y = Vec::with_capacity(batch * length * spec.outputs());
    for sequence in 0..batch {
        let mut state = network.initial(sequence)?;
        for t in 0..length {
            y.extend(network.step(&mut state, sequence * length + t, count));
        }
    }
    Ok(y)
}

/// Rows of the first sequence: its beginning, and others as far as the network forgets what came before them.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let network = Network::new(&spec, &case.tensors, &mut OpCount::default())?;
    let mut count = OpCount::default();
    network.step(&mut network.initial(0)?, 0, &mut count);
    let step = |state: &mut State, t: usize| network.step(state, t, &mut OpCount::default());
    Ok(echo_state_washout::spot_check(spec.dims.seq_len, network.initial(0)?, count.flops, draw, step))
}

/// A case's network, ready to step.
struct Network<'a> {
    spec: &'a Spec,
    tensors: &'a Tensors,
    x: &'a [f32],
    times: Option<&'a [f32]>,
    cells: Vec<Cell<'a>>,
    lstm: Option<lstm::Weights<'a>>,
    fc: Option<Dense>,
}

impl<'a> Network<'a> {
    fn new(spec: &'a Spec, tensors: &'a Tensors, count: &mut OpCount) -> Result<Self, MixerError> {
        let cells = spec.cells.iter().map(|cell| Cell::new(cell, spec, tensors, count));
        Ok(Self {
            spec,
            tensors,
            x: spec.input(tensors)?,
            times: spec.times(tensors)?,
            cells: cells.collect::<Result<_, _>>()?,
            lstm: if spec.mixed_memory {
                Some(lstm::Weights::read(tensors, spec.dims.d_model, spec.units)?)
            } else {
                None
            },
            fc: spec.fc(tensors)?.map(|(weight, bias)| Dense::new(weight, bias, None)),
        })
    }

    fn initial(&self, sequence: usize) -> Result<State, MixerError> {
        let initial =
            |name| initial_state(self.tensors, name, self.spec.dims.batch, self.spec.units, sequence);
        let m = if self.lstm.is_some() { initial("c0")? } else { Vec::new() };
        Ok(State { h: initial("h0")?, m })
    }

    /// One token, number `row` of all sequences together; returns its output.
    fn step(&self, state: &mut State, row: usize, count: &mut OpCount) -> Vec<f64> {
        let inputs = self.spec.dims.d_model;
        let mut input = widen(&self.x[row * inputs..][..inputs]);
        let elapsed = self.times.map_or(1.0, |times| f64::from(times[row]));
        if let Some(lstm) = &self.lstm {
            lstm.step(&input, &mut state.h, &mut state.m, count);
        }
        let mut first = 0;
        for cell in &self.cells {
            let h = &mut state.h[first..first + cell.spec.units];
            let next = cell.step(&input, h, elapsed, count);
            h.copy_from_slice(&next);
            first += cell.spec.units;
            input = next;
        }
        match &self.fc {
            Some(fc) => fc.apply(&input, count),
            None => input,
        }
    }
}

/// A matrix with the entries that exist.
struct Dense {
    inputs: usize,
    weight: Vec<f64>,
    bias: Vec<f64>,
    synapses: usize,
}

impl Dense {
    fn new(weight: &[f32], bias: &[f32], mask: Option<&[f32]>) -> Self {
        let mut weight = widen(weight);
        if let Some(mask) = mask {
            weight.iter_mut().zip(mask).for_each(|(weight, &mask)| *weight *= f64::from(mask));
        }
        let synapses = mask.map_or(weight.len(), |mask| mask.iter().filter(|&&mask| mask != 0.0).count());
        Self { inputs: weight.len() / bias.len(), weight, bias: widen(bias), synapses }
    }

    fn apply(&self, x: &[f64], count: &mut OpCount) -> Vec<f64> {
        count.add(2 * self.synapses);
        let rows = self.weight.chunks_exact(self.inputs).zip(&self.bias);
        rows.map(|(row, bias)| bias + row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>()).collect()
    }
}

struct Cell<'a> {
    spec: &'a CellSpec,
    activation: Activation,
    backbone: Vec<Dense>,
    ff1: Dense,
    /// ff2, and the time gate: T_a and T_b, or their sum where every step takes one unit of time.
    gates: Option<(Dense, Dense, Option<Dense>)>,
    pure: Option<(Vec<f64>, Vec<f64>)>,
}

impl<'a> Cell<'a> {
    fn new(
        cell: &'a CellSpec,
        spec: &Spec,
        tensors: &Tensors,
        count: &mut OpCount,
    ) -> Result<Self, MixerError> {
        let mask = cell.mask(tensors)?;
        let backbone = (0..cell.backbone_layers)
            .map(|layer| cell.backbone(tensors, layer).map(|(weight, bias)| Dense::new(weight, bias, None)))
            .collect::<Result<_, _>>()?;
        let (weight, bias) = cell.head(tensors, "ff1")?;
        let ff1 = Dense::new(weight, bias, mask);
        let (mut gates, mut pure) = (None, None);
        if cell.mode == Mode::Pure {
            let (w_tau, a) = cell.pure(tensors)?;
            pure = Some((widen(w_tau), widen(a)));
        } else {
            let (weight, bias) = cell.head(tensors, "ff2")?;
            let ff2 = Dense::new(weight, bias, mask);
            let (weight, bias) = cell.head(tensors, "time_a")?;
            let mut time_a = Dense::new(weight, bias, None);
            let (weight, bias) = cell.head(tensors, "time_b")?;
            let time_b = Dense::new(weight, bias, None);
            gates = Some(if spec.timespans {
                (ff2, time_a, Some(time_b))
            } else {
                time_a.weight.iter_mut().zip(&time_b.weight).for_each(|(a, b)| *a += b);
                time_a.bias.iter_mut().zip(&time_b.bias).for_each(|(a, b)| *a += b);
                count.add_setup(time_a.weight.len());
                (ff2, time_a, None)
            });
        }
        Ok(Self { spec: cell, activation: spec.activation, backbone, ff1, gates, pure })
    }

    fn step(&self, x: &[f64], h: &[f64], elapsed: f64, count: &mut OpCount) -> Vec<f64> {
        let mut z: Vec<f64> = x.iter().chain(h).copied().collect();
        for layer in &self.backbone {
            z = layer.apply(&z, count).into_iter().map(|value| activate(self.activation, value)).collect();
        }
        count.add(UNIT_FLOPS * self.spec.units);
        let f = self.ff1.apply(&z, count);
        if let Some((w_tau, a)) = &self.pure {
            return (0..f.len())
                .map(|j| a[j] - a[j] * f[j] * (-elapsed * (w_tau[j].abs() + f[j].abs())).exp())
                .collect();
        }
        let Some((ff2, time_a, time_b)) = &self.gates else { return f };
        let g = ff2.apply(&z, count);
        let mut time = time_a.apply(&z, count);
        if let Some(time_b) = time_b {
            let b = time_b.apply(&z, count);
            time.iter_mut().zip(b).for_each(|(a, b)| *a = elapsed * *a + b);
        }
        (0..f.len())
            .map(|j| {
                let (f, g, s) = (f[j].tanh(), g[j].tanh(), exact::sigmoid(time[j]));
                if self.spec.mode == Mode::NoGate { f + s * g } else { f * (1.0 - s) + s * g }
            })
            .collect()
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::LecunTanh => 1.7159 * (0.666 * x).tanh(),
        Activation::Silu => exact::silu(x),
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Gelu => exact::gelu(x),
    }
}
