//! The equations of the liquid time-constant network (Hasani et al., arXiv 2006.04439, algorithm 1, the fused solver).

use algebra::{Algebra, Exact, Load, Scope, Unary};
use mixer::{Case, MixerError, SpotCheck, SpotDraw, Tensors};

use super::{Map, Spec, cost};
use crate::echo_state_washout::{self, State};
use crate::lstm;
use crate::model::Model;

/// Operations of one synapse: scale, shift, logistic function (five), weight, reversal, two sums.
pub(super) const SYNAPSE_FLOPS: usize = 12;

/// Operations of one unit's update without its synapses.
pub(super) const UNIT_FLOPS: usize = 6;

/// Operations that make a synapse's weight positive and mask it.
pub(super) const SETUP_FLOPS: usize = 4;

/// The existing synapses, numbered; each field is a column with one row per synapse.
struct Synapses<T> {
    from: Vec<usize>,
    to: Vec<usize>,
    mu: T,
    sigma: T,
    /// W and W E: the weight, and the weight times its reversal potential.
    weights: [T; 2],
}

/// A network's parameters; those of neurons are columns `[units, 1]`.
struct Network<T> {
    recurrent: Synapses<T>,
    sensory: Synapses<T>,
    /// g + ε and g v_leak: the constant parts of denominators and numerators.
    leak: [T; 2],
    capacity: T,
    /// Scale and shift of inputs, `[1, inputs]`.
    input_map: Option<(T, Option<T>)>,
    /// Scale and shift of outputs, `[1, outputs]`.
    output_map: Option<(T, Option<T>)>,
    memory: Option<lstm::Parameters<T>>,
}

impl<T: Clone> Network<T> {
    fn read<'a, A: Load<'a, T = T>>(
        a: &mut A,
        spec: &Spec,
        tensors: &'a Tensors,
    ) -> Result<Self, MixerError> {
        let [gleak, vleak, cm] = spec.neurons(tensors)?.map(|values| a.load(values, [spec.units, 1]));
        let (leak, capacity) = a.scoped(Scope::SetUp, |a| {
            a.scoped(Scope::Uncounted, |a| {
                let conductance = positive(a, spec, &gleak);
                let current = a.mul(&conductance, &vleak);
                let conductance = a.affine(&conductance, 1.0, spec.epsilon);
                ([conductance, current], positive(a, spec, &cm))
            })
        });
        let mut map = |map: Map<'a>| {
            map.map(|(scale, shift)| {
                let shift = shift.map(|shift| a.load(shift, [1, shift.len()]));
                (a.load(scale, [1, scale.len()]), shift)
            })
        };
        let (input_map, output_map) = (map(spec.input_map(tensors)?), map(spec.output_map(tensors)?));
        let memory = if spec.mixed_memory {
            Some(lstm::Weights::read(tensors, spec.dims.d_model, spec.units)?.load(a))
        } else {
            None
        };
        Ok(Self {
            recurrent: synapses(a, spec, &spec.recurrent(tensors)?),
            sensory: synapses(a, spec, &spec.sensory(tensors)?),
            leak,
            capacity,
            input_map,
            output_map,
            memory,
        })
    }
}

/// The synapses with a nonzero mask.
fn synapses<'a, A: Load<'a>>(a: &mut A, spec: &Spec, given: &super::Synapses<'a>) -> Synapses<A::T> {
    let entries = given.mask.len();
    let existing: Vec<usize> = (0..entries).filter(|&at| given.mask[at] != 0.0).collect();
    let mut column = |values| {
        let values = a.load(values, [entries, 1]);
        a.gather(&values, &existing)
    };
    let [w, mask, erev, mu, sigma] =
        [given.w, given.mask, given.erev, given.mu, given.sigma].map(&mut column);
    let weights = a.scoped(Scope::SetUp, |a| {
        a.counted_as((SETUP_FLOPS * existing.len()) as u64, |a| {
            let w = positive(a, spec, &w);
            let w = a.mul(&w, &mask);
            let reversal = a.mul(&w, &erev);
            [w, reversal]
        })
    });
    let from = existing.iter().map(|at| at / spec.units).collect();
    let to = existing.iter().map(|at| at % spec.units).collect();
    Synapses { from, to, mu, sigma, weights }
}

/// softplus(x) if parameters are constrained implicitly, else x.
fn positive<A: Algebra>(a: &mut A, spec: &Spec, x: &A::T) -> A::T {
    if spec.implicit { a.map(x, Unary::Softplus) } else { x.clone() }
}

/// Σ_i a_ij and Σ_i a_ij E_ij with a_ij = W_ij σ(s_ij (v_i − μ_ij)), `[units, 1]`, from potentials `v`, `[sources, 1]`.
fn activate<A: Algebra>(a: &mut A, synapses: &Synapses<A::T>, v: &A::T, units: usize) -> [A::T; 2] {
    a.counted_as((SYNAPSE_FLOPS * synapses.to.len()) as u64, |a| {
        let v = a.gather(v, &synapses.from);
        let x = a.sub(&v, &synapses.mu);
        let x = a.mul(&x, &synapses.sigma);
        let gates = a.map(&x, Unary::Sigmoid);
        synapses.weights.each_ref().map(|weights| {
            let activations = a.mul(&gates, weights);
            a.scatter(&activations, &synapses.to, units)
        })
    })
}

/// x ⊙ scale + shift.
fn rescale<A: Algebra>(a: &mut A, map: Option<&(A::T, Option<A::T>)>, x: A::T) -> A::T {
    let Some((scale, shift)) = map else { return x };
    let [_, width] = a.shape(&x);
    a.counted_as(2 * width as u64, |a| {
        let x = a.mul(&x, scale);
        shift.as_ref().map_or_else(|| x.clone(), |shift| a.add(&x, shift))
    })
}

/// Processes one token `x`, `[1, inputs]`. Returns the output, `[1, outputs]`, and the new state: that of the neurons
/// and that of the mixed memory, `[1, units]` each. Without a mixed memory its state does not change. `elapsed` is τ,
/// `[1, 1]`, or 1 if absent.
fn step<A: Algebra>(
    a: &mut A,
    spec: &Spec,
    network: &Network<A::T>,
    [v, m]: [&A::T; 2],
    x: &A::T,
    elapsed: Option<&A::T>,
) -> ([A::T; 2], A::T) {
    let [v, m] = match &network.memory {
        Some(memory) => lstm::step(a, memory, x, [v, m]),
        None => [v, m].map(A::T::clone),
    };
    let u = rescale(a, network.input_map.as_ref(), x.clone());
    let u = a.transpose(&u);
    // D_j and N_j.
    let sensory = activate(a, &network.sensory, &u, spec.units);
    // c / Δ with Δ = τ / U, and the parts of the denominator and the numerator that are constant for a token.
    let (inertia, fixed) = a.scoped(Scope::Uncounted, |a| {
        let inertia = a.scale(&network.capacity, spec.unfolds as f64);
        let inertia = match elapsed {
            None => inertia,
            Some(elapsed) => {
                let rate = a.map(elapsed, Unary::Recip);
                a.mul(&inertia, &rate)
            }
        };
        let [below, above] = [0, 1].map(|part: usize| a.add(&sensory[part], &network.leak[part]));
        let below = a.add(&below, &inertia);
        (inertia, [below, above])
    });
    let mut v = a.transpose(&v);
    for _ in 0..spec.unfolds {
        // v ← (c/Δ v + g v_leak + Σ aE + N) / (c/Δ + g + Σ a + D + ε).
        let sums = activate(a, &network.recurrent, &v, spec.units);
        v = a.counted_as((UNIT_FLOPS * spec.units) as u64, |a| {
            let [below, above] = [0, 1].map(|part: usize| a.add(&sums[part], &fixed[part]));
            let inert = a.mul(&inertia, &v);
            let above = a.add(&above, &inert);
            let inverse = a.map(&below, Unary::Recip);
            a.mul(&above, &inverse)
        });
    }
    let v = a.transpose(&v);
    let y = a.columns(&v, 0..spec.outputs);
    let y = rescale(a, network.output_map.as_ref(), y);
    ([v, m], y)
}

/// The tokens of all sequences, and their elapsed times if these are inputs.
struct Tokens<'a> {
    x: &'a [f32],
    times: Option<&'a [f32]>,
}

impl<'a> Tokens<'a> {
    fn read(spec: &Spec, tensors: &'a Tensors) -> Result<Self, MixerError> {
        Ok(Self { x: spec.input(tensors)?, times: spec.times(tensors)? })
    }

    /// [`step`] with token `row` of all sequences.
    fn step<A: Load<'a>>(
        &self,
        a: &mut A,
        spec: &Spec,
        network: &Network<A::T>,
        state: [&A::T; 2],
        row: usize,
    ) -> ([A::T; 2], A::T) {
        let inputs = spec.dims.d_model;
        let x = a.load(&self.x[row * inputs..][..inputs], [1, inputs]);
        let elapsed = self.times.map(|times| a.load(&times[row..=row], [1, 1]));
        step(a, spec, network, state, &x, elapsed.as_ref())
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
                let (next, output) = tokens.step(a, self, &network, state.each_ref(), row);
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
    let (h, m) = spec.initial(&case.tensors, sequence)?;
    Ok(State { h, m: if spec.mixed_memory { m } else { Vec::new() } })
}

/// Rows of the first sequence: at its beginning, and later ones where the network has forgotten earlier inputs.
pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let initial = initial(&spec, case, 0)?;
    let tokens = Tokens::read(&spec, &case.tensors)?;
    let network = Network::read(&mut Exact::default(), &spec, &case.tensors)?;
    let [recurrent, sensory] = [&network.recurrent, &network.sensory].map(|synapses| synapses.to.len());
    let flops = cost::step_flops(&spec, cost::Synapses { recurrent, sensory });
    Ok(echo_state_washout::spot_check(spec.dims.seq_len, initial, flops.get(), draw, |a, state, row| {
        tokens.step(a, &spec, &network, state, row)
    }))
}
