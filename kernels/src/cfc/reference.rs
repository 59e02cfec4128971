//! The closed-form network in f64, step by step, straight from the equations.

use mixer::{Case, MixerError, OpCount, SpotCheck, Tensors};

use super::{Activation, CellSpec, Mode, Spec};
use crate::attention::widen;
use crate::lstm;
use crate::ltc::initial_state;
use crate::ops::exact;

/// Operations of one unit beside its heads.
pub(super) const UNIT_FLOPS: usize = 10;

/// `[batch, length, outputs]` in f64.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    steps(case, usize::MAX, count)
}

/// The first rows of the first sequence: a nonlinear recurrence has no short cut to later ones.
pub(super) fn spot_check(case: &Case, max_flops: u64) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let mut one = OpCount::default();
    steps(case, 1, &mut one)?;
    let affordable = usize::try_from(max_flops / one.flops.max(1)).unwrap_or(usize::MAX);
    let last = affordable.clamp(1, spec.dims.seq_len) - 1;
    let mut rows = vec![0, last / 2, last];
    rows.dedup();
    let y = steps(case, last + 1, &mut OpCount::default())?;
    let width = spec.outputs();
    let expected = rows.iter().flat_map(|row| y[row * width..][..width].to_vec()).collect();
    Ok(SpotCheck { rows, expected })
}

/// All sequences, or `most` steps of the first.
fn steps(case: &Case, most: usize, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let spec = Spec::read(case)?;
    let tensors = &case.tensors;
    let (inputs, length) = (spec.dims.d_model, spec.dims.seq_len);
    let x = spec.input(tensors)?;
    let times = spec.times(tensors)?;
    let cells: Vec<Cell> =
        spec.cells.iter().map(|cell| Cell::new(cell, &spec, tensors, count)).collect::<Result<_, _>>()?;
    let lstm = if spec.mixed_memory { Some(lstm::Weights::read(tensors, inputs, spec.units)?) } else { None };
    let fc = spec.fc(tensors)?.map(|(weight, bias)| Dense::new(weight, bias, None));
    let sequences = if most >= length { spec.dims.batch } else { 1 };
    let mut y = Vec::new();
    for sequence in 0..sequences {
        let mut h = initial_state(tensors, "h0", spec.dims.batch, spec.units, sequence)?;
        let mut m = initial_state(tensors, "c0", spec.dims.batch, spec.units, sequence)?;
        for t in 0..length.min(most) {
            let row = sequence * length + t;
            let mut input = widen(&x[row * inputs..][..inputs]);
            let elapsed = times.map_or(1.0, |times| f64::from(times[row]));
            if let Some(lstm) = &lstm {
                lstm.step(&input, &mut h, &mut m, count);
            }
            let mut first = 0;
            for cell in &cells {
                let state = &mut h[first..first + cell.spec.units];
                let next = cell.step(&input, state, elapsed, count);
                state.copy_from_slice(&next);
                first += cell.spec.units;
                input = next;
            }
            match &fc {
                Some(fc) => y.extend(fc.apply(&input, count)),
                None => y.extend(input),
            }
        }
    }
    Ok(y)
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
