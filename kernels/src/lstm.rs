//! The long short-term memory step, called mixed memory in liquid networks. As in the `ncps` package: one bias, forget
//! gate shifted by one, gates in the order input, input gate, forget gate, output gate.

use algebra::{Algebra, Load, Unary};
use mixer::{Count, Floats, Memory, MixerError};

use crate::ops::activation::{sigmoid, tanh};
use crate::ops::matvec::MatVec;
use crate::ops::simd::{Lanes, Work, run_widest};
use crate::recurrence::pack;

/// The stored weights.
pub(crate) struct Weights<'a> {
    inputs: usize,
    units: usize,
    input_map: &'a [f32],
    bias: &'a [f32],
    recurrent_map: &'a [f32],
}

impl<'a> Weights<'a> {
    /// Reads `param.lstm.…` for `inputs` and `units`.
    ///
    /// # Errors
    /// [`MixerError::MissingTensor`] or [`MixerError::TensorShape`].
    pub(crate) fn read(tensors: &'a mixer::Tensors, inputs: usize, units: usize) -> Result<Self, MixerError> {
        Ok(Self {
            inputs,
            units,
            input_map: tensors.floats("param.lstm.input_map.weight", &[4 * units, inputs])?,
            bias: tensors.floats("param.lstm.input_map.bias", &[4 * units])?,
            recurrent_map: tensors.floats("param.lstm.recurrent_map.weight", &[4 * units, units])?,
        })
    }

    /// The input map with its bias for all steps: rows `slot · 4 + gate` of `[4 · slots, inputs]` and of `[4 · slots]`.
    /// Unit u is in slot `slot_of(u)` of the GPU's state.
    pub(crate) fn entries(&self, slot_of: impl Fn(usize) -> usize, slots: usize) -> (Vec<f32>, Vec<f32>) {
        let (mut weight, mut bias) = (vec![0.0; 4 * slots * self.inputs], vec![0.0; 4 * slots]);
        for unit in 0..self.units {
            for gate in 0..4 {
                let (from, to) = (gate * self.units + unit, 4 * slot_of(unit) + gate);
                weight[to * self.inputs..][..self.inputs]
                    .copy_from_slice(&self.input_map[from * self.inputs..][..self.inputs]);
                bias[to] = self.bias[from];
            }
        }
        (weight, bias)
    }

    /// The recurrent map in the layout of `recurrence.wgsl`, for `[units, inputs]` slots whose units `unit_of` names.
    pub(crate) fn packed(
        &self,
        [units, inputs]: [usize; 2],
        unit_of: impl Fn(usize) -> Option<usize>,
    ) -> Vec<f32> {
        pack([units, 4, inputs], |unit, gate, input| match (unit_of(unit), unit_of(input)) {
            (Some(unit), Some(input)) => self.recurrent_map[(gate * self.units + unit) * self.units + input],
            _ => 0.0,
        })
    }

    /// The weights in a model.
    pub(crate) fn load<A: Load<'a>>(&self, a: &mut A) -> Parameters<A::T> {
        let gates = 4 * self.units;
        Parameters {
            input_map: a.load(self.input_map, [gates, self.inputs]),
            bias: a.load(self.bias, [1, gates]),
            recurrent_map: a.load(self.recurrent_map, [gates, self.units]),
        }
    }
}

/// Weights of the equations.
pub(crate) struct Parameters<T> {
    input_map: T,
    bias: T,
    recurrent_map: T,
}

/// One step: v and m, `[1, units]` each, from x, `[1, inputs]`, and from v and m. Beside the products nothing is counted.
pub(crate) fn step<A: Algebra>(
    a: &mut A,
    weights: &Parameters<A::T>,
    x: &A::T,
    [v, m]: [&A::T; 2],
) -> [A::T; 2] {
    let of_input = a.linear(x, &weights.input_map, Some(&weights.bias));
    let of_state = a.linear(v, &weights.recurrent_map, None);
    let [_, units] = a.shape(v);
    a.counted_as(0, |a| {
        let z = a.add(&of_input, &of_state);
        let gate = |a: &mut A, index: usize| a.columns(&z, index * units..(index + 1) * units);
        let [input, input_gate, forget_gate, output_gate] = [0, 1, 2, 3].map(|index| gate(a, index));
        // m ← m σ(z_f + 1) + tanh(z_i) σ(z_g), v ← tanh(m) σ(z_o).
        let forget_gate = a.affine(&forget_gate, 1.0, 1.0);
        let forget_gate = a.map(&forget_gate, Unary::Sigmoid);
        let remembered = a.mul(m, &forget_gate);
        let input = a.map(&input, Unary::Tanh);
        let input_gate = a.map(&input_gate, Unary::Sigmoid);
        let written = a.mul(&input, &input_gate);
        let m = a.add(&remembered, &written);
        let bounded = a.map(&m, Unary::Tanh);
        let output_gate = a.map(&output_gate, Unary::Sigmoid);
        [a.mul(&bounded, &output_gate), m]
    })
}

/// Operations of one step: two matrix–vector products.
pub(crate) fn flops(inputs: usize, units: usize) -> Count {
    let [inputs, units] = Count::all([inputs, units]);
    8 * units * (inputs + units)
}

/// Exponentials and divisions of a step: three logistic functions and two hyperbolic tangents for each unit.
pub(crate) fn transcendentals(units: usize) -> Count {
    10 * Count::from(units)
}

/// Number of parameters in floats.
pub(crate) fn param_floats(inputs: usize, units: usize) -> Count {
    let [inputs, units] = Count::all([inputs, units]);
    4 * units * (inputs + units + 1)
}

/// The step in f32 with packed weights.
#[derive(Debug)]
pub(crate) struct Lstm {
    units: usize,
    input_map: MatVec,
    recurrent_map: MatVec,
    /// Padded to whole panels.
    bias: Floats,
}

impl Lstm {
    /// Floats that [`Lstm::new`] takes from the memory budget.
    pub(crate) fn floats(inputs: usize, units: usize) -> Count {
        let own = Count::from(Self::scratch_floats(units));
        MatVec::floats(inputs, 4 * units) + MatVec::floats(units, 4 * units) + own
    }

    /// Floats of scratch that [`Lstm::step`] needs.
    pub(crate) fn scratch_floats(units: usize) -> usize {
        MatVec::padded(4 * units)
    }

    /// Packs the weights.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub(crate) fn new(memory: &Memory, weights: &Weights<'_>) -> Result<Self, MixerError> {
        let (inputs, units) = (weights.inputs, weights.units);
        let mut bias = memory.floats(Self::scratch_floats(units))?;
        bias[..4 * units].copy_from_slice(weights.bias);
        Ok(Self {
            units,
            input_map: MatVec::new(memory, inputs, 4 * units, |o, i| weights.input_map[o * inputs + i])?,
            recurrent_map: MatVec::new(memory, units, 4 * units, |o, i| {
                weights.recurrent_map[o * units + i]
            })?,
            bias,
        })
    }

    /// One step. `v` and `m` have at least `units` floats.
    pub(crate) fn step(&self, x: &[f32], v: &mut [f32], m: &mut [f32], scratch: &mut [f32]) {
        let z = &mut scratch[..self.bias.len()];
        z.copy_from_slice(&self.bias);
        self.input_map.add(x, z);
        self.recurrent_map.add(&v[..self.units], z);
        run_widest(Gates { units: self.units, z, v, m });
    }
}

/// The gates of every unit; `z` holds their sums, `[4, units]`.
struct Gates<'a> {
    units: usize,
    z: &'a [f32],
    v: &'a mut [f32],
    m: &'a mut [f32],
}

impl Work for Gates<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { units, z, v, m } = self;
        let states = m[..units].chunks_mut(V::LANES).zip(v[..units].chunks_mut(V::LANES));
        for (index, (m, v)) in states.enumerate() {
            let gate = |gate: usize| V::load(&z[gate * units + index * V::LANES..][..m.len()]);
            let kept = V::load(m) * sigmoid(gate(2) + V::splat(1.0));
            let memory = kept + tanh(gate(0)) * sigmoid(gate(1));
            (tanh(memory) * sigmoid(gate(3))).store(v);
            memory.store(m);
        }
    }
}

/// Seeded weights with the package's initialisation: Xavier for the input map, orthogonal in scale for the recurrent
/// map, bias 0.
pub(crate) fn seed(
    generator: &crate::generate::Generator,
    tensors: &mut mixer::Tensors,
    inputs: usize,
    units: usize,
) -> Result<(), MixerError> {
    let xavier = (6.0 / (inputs + 4 * units) as f32).sqrt();
    generator.uniform(tensors, "param.lstm.input_map.weight", &[4 * units, inputs], xavier)?;
    // An orthogonal matrix [4H, H] has entries of variance 1/(4H).
    let scale = (3.0 / (4 * units) as f32).sqrt();
    generator.uniform(tensors, "param.lstm.recurrent_map.weight", &[4 * units, units], scale)?;
    tensors.insert("param.lstm.input_map.bias", &[4 * units], vec![0.0; 4 * units]);
    Ok(())
}
