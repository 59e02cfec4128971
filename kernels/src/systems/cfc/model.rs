//! The equations of the closed-form continuous-time network (Hasani et al., arXiv 2106.13898; the gated form as in its
//! authors' package).

use algebra::{Algebra, Exact, Load, Scope, Unary};
use mixer::{Case, MixerError, SpotCheck, SpotDraw, Tensors};

use super::{Activation, Affine, CellSpec, Mode, Spec, cost};
use crate::echo_state_washout::{self, State};
use crate::initial_state::initial_state;
use crate::lstm;
use crate::model::Model;

/// Operations of one unit without its heads.
pub(super) const UNIT_FLOPS: usize = 10;

/// A linear layer.
struct Dense<T> {
    weight: T,
    bias: T,
    /// Entries kept by a mask.
    synapses: usize,
}

impl<T: Clone> Dense<T> {
    fn load<'a, A: Load<'a, T = T>>(a: &mut A, (weight, bias): Affine<'a>, mask: Option<&'a [f32]>) -> Self {
        let shape = [bias.len(), weight.len() / bias.len()];
        let (bias, mut loaded) = (a.load(bias, [1, bias.len()]), a.load(weight, shape));
        let mut synapses = weight.len();
        if let Some(mask) = mask {
            synapses = mask.iter().filter(|&&mask| mask != 0.0).count();
            let mask = a.load(mask, shape);
            loaded = a.scoped(Scope::Uncounted, |a| a.mul(&loaded, &mask));
        }
        Self { weight: loaded, bias, synapses }
    }

    /// x Wᵀ + b of one row.
    fn apply<A: Algebra<T = T>>(&self, a: &mut A, x: &T) -> T {
        a.counted_as(2 * self.synapses as u64, |a| a.linear(x, &self.weight, Some(&self.bias)))
    }
}

/// Weights of the state update, which reads a cell's features z.
enum Heads<T> {
    /// F₁, w_τ and A.
    Pure { ff1: Dense<T>, w_tau: T, a: T },
    /// F₁, F₂, T_a and T_b. If every step takes one unit of time, T_a holds T_a + T_b.
    Gated { ff1: Dense<T>, ff2: Dense<T>, time_a: Dense<T>, time_b: Option<Dense<T>> },
}

struct Cell<T> {
    units: usize,
    mode: Mode,
    activation: Activation,
    backbone: Vec<Dense<T>>,
    heads: Heads<T>,
}

impl<T: Clone> Cell<T> {
    fn read<'a, A: Load<'a, T = T>>(
        a: &mut A,
        cell: &CellSpec,
        spec: &Spec,
        tensors: &'a Tensors,
    ) -> Result<Self, MixerError> {
        let mask = cell.mask(tensors)?;
        let backbone = (0..cell.backbone_layers)
            .map(|layer| Ok(Dense::load(a, cell.backbone(tensors, layer)?, None)))
            .collect::<Result<_, MixerError>>()?;
        let ff1 = Dense::load(a, cell.head(tensors, "ff1")?, mask);
        let heads = if cell.mode == Mode::Pure {
            let [w_tau, of_a] =
                <[_; 2]>::from(cell.pure(tensors)?).map(|values| a.load(values, [1, cell.units]));
            Heads::Pure { ff1, w_tau, a: of_a }
        } else {
            let ff2 = Dense::load(a, cell.head(tensors, "ff2")?, mask);
            let mut time_a = Dense::load(a, cell.head(tensors, "time_a")?, None);
            let time_b = Dense::load(a, cell.head(tensors, "time_b")?, None);
            let time_b = if spec.timespans {
                Some(time_b)
            } else {
                time_a.weight = a.scoped(Scope::SetUp, |a| a.add(&time_a.weight, &time_b.weight));
                time_a.bias = a.scoped(Scope::Uncounted, |a| a.add(&time_a.bias, &time_b.bias));
                None
            };
            Heads::Gated { ff1, ff2, time_a, time_b }
        };
        Ok(Self { units: cell.units, mode: cell.mode, activation: spec.activation, backbone, heads })
    }

    /// Entries kept by the mask of F₁.
    fn synapses(&self) -> usize {
        match &self.heads {
            Heads::Pure { ff1, .. } | Heads::Gated { ff1, .. } => ff1.synapses,
        }
    }

    /// The next state, `[1, units]`, from the input, `[1, inputs]`, and the state. `elapsed` is τ, `[1, 1]`, or 1 if
    /// absent.
    fn step<A: Algebra<T = T>>(&self, a: &mut A, x: &T, h: &T, elapsed: Option<&T>) -> T {
        // z = act(B [x; h] + b), layer by layer.
        let mut z = a.concat(&[x.clone(), h.clone()]);
        for layer in &self.backbone {
            let sum = layer.apply(a, &z);
            z = a.counted_as(0, |a| activate(a, self.activation, &sum));
        }
        let price = (UNIT_FLOPS * self.units) as u64;
        let over_time = |a: &mut A, x: T| match elapsed {
            None => x,
            Some(elapsed) => a.mul(&x, elapsed),
        };
        match &self.heads {
            Heads::Pure { ff1, w_tau, a: of_a } => {
                let f = ff1.apply(a, &z);
                a.counted_as(price, |a| {
                    // h = A − A ⊙ f ⊙ e^(−τ(|w_τ| + |f|)).
                    let [rate, size] = [w_tau, &f].map(|x| a.map(x, Unary::Abs));
                    let rate = a.add(&rate, &size);
                    let exponent = over_time(a, rate);
                    let exponent = a.scale(&exponent, -1.0);
                    let decay = a.map(&exponent, Unary::Exp);
                    let f = a.mul(&f, &decay);
                    let fading = a.mul(of_a, &f);
                    a.sub(of_a, &fading)
                })
            }
            Heads::Gated { ff1, ff2, time_a, time_b } => {
                let [f, g, mut time] = [ff1, ff2, time_a].map(|head| head.apply(a, &z));
                let time_b = time_b.as_ref().map(|head| head.apply(a, &z));
                a.counted_as(price, |a| {
                    // s = σ(τ T_a z + T_b z).
                    if let Some(time_b) = &time_b {
                        time = over_time(a, time.clone());
                        time = a.add(&time, time_b);
                    }
                    let [f, g] = [&f, &g].map(|x| a.map(x, Unary::Tanh));
                    let s = a.map(&time, Unary::Sigmoid);
                    let gated = a.mul(&s, &g);
                    if self.mode == Mode::NoGate {
                        // h = f + s ⊙ g.
                        return a.add(&f, &gated);
                    }
                    // h = f ⊙ (1 − s) + s ⊙ g.
                    let rest = a.affine(&s, -1.0, 1.0);
                    let kept = a.mul(&f, &rest);
                    a.add(&kept, &gated)
                })
            }
        }
    }
}

fn activate<A: Algebra>(a: &mut A, activation: Activation, x: &A::T) -> A::T {
    match activation {
        // 1.7159 tanh(0.666 x).
        Activation::LecunTanh => {
            let x = a.scale(x, 0.666);
            let x = a.map(&x, Unary::Tanh);
            a.scale(&x, 1.7159)
        }
        Activation::Silu => a.map(x, Unary::Silu),
        Activation::Relu => a.map(x, Unary::Relu),
        Activation::Tanh => a.map(x, Unary::Tanh),
        Activation::Gelu => a.map(x, Unary::Gelu),
    }
}

struct Network<T> {
    cells: Vec<Cell<T>>,
    memory: Option<lstm::Parameters<T>>,
    fc: Option<Dense<T>>,
}

impl<T: Clone> Network<T> {
    fn read<'a, A: Load<'a, T = T>>(
        a: &mut A,
        spec: &Spec,
        tensors: &'a Tensors,
    ) -> Result<Self, MixerError> {
        let memory = if spec.mixed_memory {
            Some(lstm::Weights::read(tensors, spec.dims.d_model, spec.units)?.load(a))
        } else {
            None
        };
        let cells = spec.cells.iter().map(|cell| Cell::read(a, cell, spec, tensors));
        Ok(Self {
            cells: cells.collect::<Result<_, _>>()?,
            memory,
            fc: spec.fc(tensors)?.map(|fc| Dense::load(a, fc, None)),
        })
    }

    /// Processes one token `x`, `[1, inputs]`. Returns the output, `[1, outputs]`, and the new state: that of the cells
    /// and that of the mixed memory, `[1, units]` each. Without a mixed memory its state does not change.
    fn step<A: Algebra<T = T>>(&self, a: &mut A, [h, m]: [&T; 2], x: &T, elapsed: Option<&T>) -> ([T; 2], T) {
        let [h, m] = match &self.memory {
            Some(memory) => lstm::step(a, memory, x, [h, m]),
            None => [h.clone(), m.clone()],
        };
        let (mut first, mut input, mut states) = (0, x.clone(), Vec::new());
        for cell in &self.cells {
            let own = a.columns(&h, first..first + cell.units);
            input = cell.step(a, &input, &own, elapsed);
            states.push(input.clone());
            first += cell.units;
        }
        let y = self.fc.as_ref().map_or_else(|| input.clone(), |fc| fc.apply(a, &input));
        ([a.concat(&states), m], y)
    }
}

/// The tokens of all sequences, and their elapsed times if these are inputs.
struct Tokens<'a> {
    x: &'a [f32],
    times: Option<&'a [f32]>,
    inputs: usize,
}

impl<'a> Tokens<'a> {
    fn read(spec: &Spec, tensors: &'a Tensors) -> Result<Self, MixerError> {
        Ok(Self { x: spec.input(tensors)?, times: spec.times(tensors)?, inputs: spec.dims.d_model })
    }

    /// [`Network::step`] with token `row` of all sequences.
    fn step<A: Load<'a>>(
        &self,
        a: &mut A,
        network: &Network<A::T>,
        state: [&A::T; 2],
        row: usize,
    ) -> ([A::T; 2], A::T) {
        let x = a.load(&self.x[row * self.inputs..][..self.inputs], [1, self.inputs]);
        let elapsed = self.times.map(|times| a.load(&times[row..=row], [1, 1]));
        network.step(a, state, &x, elapsed.as_ref())
    }
}

impl Model for Spec {
    fn read(case: &Case) -> Result<Self, MixerError> {
        Self::read(case)
    }

    fn outputs<'a, A: Load<'a>>(&self, a: &mut A, case: &'a Case) -> Result<Vec<A::T>, MixerError> {
        let tokens = Tokens::read(self, &case.tensors)?;
        let network = Network::read(a, self, &case.tensors)?;
        let length = self.dims.seq_len;
        let mut sequence = |index: usize| {
            let mut state = initial(self, case, index)?.load(a);
            let mut y = Vec::with_capacity(length);
            for row in index * length..(index + 1) * length {
                let (next, output) = tokens.step(a, &network, state.each_ref(), row);
                state = next;
                y.push(output);
            }
            Ok(a.stack(&y))
        };
        (0..self.dims.batch).map(&mut sequence).collect()
    }
}

/// The state before the first token of one sequence.
fn initial(spec: &Spec, case: &Case, sequence: usize) -> Result<State, MixerError> {
    let initial = |name| initial_state(&case.tensors, name, spec.dims.batch, spec.units, sequence);
    let m = if spec.mixed_memory { initial("c0")? } else { Vec::new() };
    Ok(State { h: initial("h0")?, m })
}

/// Rows of the first sequence: at its beginning, and later ones where the network has forgotten earlier inputs.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let initial = initial(&spec, case, 0)?;
    let tokens = Tokens::read(&spec, &case.tensors)?;
    let network = Network::read(&mut Exact::default(), &spec, &case.tensors)?;
    let synapses: Vec<usize> = network.cells.iter().map(Cell::synapses).collect();
    let flops = cost::cost(&spec, &synapses).flops / spec.dims.sizes().rows().get();
    Ok(echo_state_washout::spot_check(spec.dims.seq_len, initial, flops, draw, |a, state, row| {
        tokens.step(a, &network, state, row)
    }))
}
