//! Liquid-S4 in f64: direct convolutions, products by lists of tuples, the dense bilinear transform, the recurrence as
//! it is written.

use mixer::{Case, Count, Level, MixerError, OpCount};

use super::kb;
use super::liquid::{self, binomial, contract};
use super::spec::{Liquid, Mode, Spec};
use super::ssm::{Channel, Ssm, kernel_flops};
use crate::ops::complex::Complex;
use crate::ops::exact;
use crate::ops::exact::{linear, widen};

/// `[batch, length, width]` in f64.
pub(super) fn reference(case: &Case, count: &mut OpCount) -> Result<Vec<f64>, MixerError> {
    let spec = Spec::read(case)?;
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let x = widen(spec.input(&case.tensors)?);
    let skip = spec.skip(&case.tensors)?;
    let ssm = Ssm::read(&spec, &case.tensors)?;
    let products = if spec.degree > 1 { Some(liquid::gains(&spec, &case.tensors)?) } else { None };
    let tuples: Vec<Vec<Vec<usize>>> = (2..=spec.degree).map(|q| last_tuples(length, q)).collect();
    let mut s = vec![0.0; x.len()];
    for (channel, model) in ssm.channels.iter().enumerate() {
        let e = f64::from(skip[channel]);
        let kernels = kernels(&spec, model, count);
        let filter =
            if spec.liquid == Liquid::Kb { kb::filter_by_definition(&kernels[0]) } else { Vec::new() };
        for sequence in 0..spec.dims.batch {
            let at = |t: usize| (sequence * length + t) * width + channel;
            let x: Vec<f64> = (0..length).map(|t| x[at(t)]).collect();
            let mut sums = if spec.liquid == Liquid::Recurrence {
                recurrence(model, &x, count)
            } else {
                convolve(&kernels, &x, count)
            };
            sums.iter_mut().zip(&x).for_each(|(sum, x)| *sum += e * x);
            count.add(2 * length);
            if let Some(gains) = &products {
                let mut below = x.clone();
                let mut reversed = vec![0.0; length];
                for q in 2..=spec.degree {
                    let degree = q - 2;
                    let signal: Vec<f64> = if spec.allcombs {
                        let product = |tuple: &Vec<usize>| tuple.iter().map(|&t| x[t]).product();
                        tuples[degree].iter().map(product).collect()
                    } else {
                        (0..length).map(|t| if t == 0 { 0.0 } else { below[t] * below[t - 1] }).collect()
                    };
                    count.add((q + 1) * length);
                    for (t, a) in signal.iter().enumerate() {
                        let a = contract(spec.contraction, *a);
                        reversed[length - 1 - t] += gains.reversed[degree][channel] * a;
                        if let Some(straight) = gains.straight.get(degree) {
                            sums[t] += straight[channel] * a;
                        }
                    }
                    count.add(if gains.straight.is_empty() { 0 } else { 2 * length });
                    below = signal;
                }
                if spec.liquid == Liquid::Kb {
                    for (t, sum) in sums.iter_mut().enumerate() {
                        for (j, a) in reversed.iter().enumerate() {
                            *sum += a * filter[(t + 2 * length - j) % (2 * length)];
                        }
                    }
                    count.add(2 * length * length);
                } else {
                    sums.iter_mut().zip(&reversed).for_each(|(sum, a)| *sum += a);
                }
            }
            for (t, sum) in sums.into_iter().enumerate() {
                s[at(t)] = sum;
            }
        }
    }
    if spec.level == Level::Core { Ok(s) } else { output(&spec, case, &s, count) }
}

/// GLU(W gelu(s) + b) of rows.
pub(super) fn output(
    spec: &Spec,
    case: &Case,
    s: &[f64],
    count: &mut OpCount,
) -> Result<Vec<f64>, MixerError> {
    let width = spec.dims.d_model;
    let (weight, bias) = spec.output_linear(&case.tensors)?;
    let activated: Vec<f64> = s.iter().map(|s| exact::gelu(*s)).collect();
    count.add(3 * s.len());
    let joint = linear(&activated, weight, Some(bias), width, count);
    Ok(joint
        .chunks_exact(2 * width)
        .flat_map(|row| {
            let (value, gate) = row.split_at(width);
            value.iter().zip(gate).map(|(value, gate)| value * exact::sigmoid(*gate)).collect::<Vec<_>>()
        })
        .collect())
}

/// The increasing tuples of positions whose products are taken, by listing all and keeping the last.
fn last_tuples(length: usize, q: usize) -> Vec<Vec<usize>> {
    let Some(n) = liquid::positions(length, q) else { return Vec::new() };
    let mut all = Vec::with_capacity(binomial(n, q) as usize);
    let mut tuple: Vec<usize> = (0..q).collect();
    loop {
        all.push(tuple.iter().map(|p| length - n + p).collect());
        let Some(place) = (0..q).rev().find(|&place| tuple[place] < n - q + place) else { break };
        tuple[place] += 1;
        for later in place + 1..q {
            tuple[later] = tuple[later - 1] + 1;
        }
    }
    all.split_off(all.len() - length)
}

/// k of each direction.
fn kernels(spec: &Spec, model: &Channel, count: &mut OpCount) -> Vec<Vec<f64>> {
    if spec.liquid == Liquid::Recurrence {
        return Vec::new();
    }
    let length = spec.dims.seq_len;
    (0..spec.directions())
        .map(|direction| match spec.mode {
            Mode::Diag => {
                let [directions, width] = Count::all([spec.directions(), spec.dims.d_model]);
                count.add_setup(kernel_flops(spec) / (directions * width));
                let modes = model.bilinear();
                let mut powers: Vec<Complex> =
                    modes.iter().zip(&model.c[direction]).map(|((_, b), c)| *c * *b).collect();
                (0..length)
                    .map(|_| {
                        let k = 2.0 * powers.iter().map(|power| power.re).sum::<f64>();
                        powers.iter_mut().zip(&modes).for_each(|(power, (a, _))| *power = *power * *a);
                        k
                    })
                    .collect()
            }
            Mode::Nplr => {
                count.setup_flops += dense_kernel_flops(spec);
                dense_kernel(model, direction, length)
            }
        })
        .collect()
}

/// Operations of [`dense_kernel`] for one channel and direction: a dense product and an inner product for each lag.
pub(super) fn dense_kernel_flops(spec: &Spec) -> u64 {
    let size = 2 * spec.modes as u64;
    8 * spec.dims.seq_len as u64 * (size * size + size)
}

/// k[l] = Re C Āˡ B̄ with the full matrix A = diag(w, w̄) − p pᴴ of size 2M and its dense bilinear transform.
fn dense_kernel(model: &Channel, direction: usize, length: usize) -> Vec<f64> {
    let pairs = |half: &[Complex]| -> Vec<Complex> {
        half.iter().copied().chain(half.iter().map(|value| value.conj())).collect()
    };
    let (w, b, c) = (pairs(&model.w), pairs(&model.b), pairs(&model.c[direction]));
    let p = pairs(model.p.as_deref().unwrap_or_default());
    let size = w.len();
    let half = model.step / 2.0;
    let entry = |row: usize, column: usize, sign: f64| {
        let diagonal = if row == column { w[row] } else { Complex::default() };
        let a = diagonal - p[row] * p[column].conj();
        let one = if row == column { Complex::ONE } else { Complex::default() };
        one + a.times(sign * half)
    };
    // (1 − ΔA/2) [Ā | B̄] = [1 + ΔA/2 | ΔB] by elimination with row exchanges.
    let mut rows: Vec<Vec<Complex>> = (0..size)
        .map(|row| {
            let left = (0..size).map(|column| entry(row, column, -1.0));
            let right = (0..size).map(|column| entry(row, column, 1.0));
            left.chain(right).chain([b[row].times(model.step)]).collect()
        })
        .collect();
    for column in 0..size {
        let pivot = (column..size)
            .max_by(|&i, &j| rows[i][column].square().total_cmp(&rows[j][column].square()))
            .unwrap_or(column);
        rows.swap(column, pivot);
        let inverse = rows[column][column].inverse();
        let head: Vec<Complex> = rows[column].iter().map(|value| *value * inverse).collect();
        for (index, row) in rows.iter_mut().enumerate() {
            if index == column {
                row.clone_from(&head);
            } else {
                let factor = row[column];
                row.iter_mut().zip(&head).for_each(|(to, from)| *to = *to - factor * *from);
            }
        }
    }
    let mut state: Vec<Complex> = rows.iter().map(|row| row[2 * size]).collect();
    (0..length)
        .map(|_| {
            let k = c.iter().zip(&state).map(|(c, state)| (*c * *state).re).sum();
            state = rows
                .iter()
                .map(|row| {
                    row[size..2 * size]
                        .iter()
                        .zip(&state)
                        .fold(Complex::default(), |sum, (a, state)| sum + *a * *state)
                })
                .collect();
            k
        })
        .collect()
}

/// Σ_j k₀[j] x[t − j] + Σ_j k₁[j] x[t + 1 + j].
fn convolve(kernels: &[Vec<f64>], x: &[f64], count: &mut OpCount) -> Vec<f64> {
    (0..x.len())
        .map(|t| {
            let past = x[..=t].iter().rev();
            let mut sum: f64 = kernels[0].iter().zip(past).map(|(k, x)| k * x).sum();
            count.add(2 * (t + 1));
            if let Some(backward) = kernels.get(1) {
                let ahead = &x[t + 1..];
                sum += backward.iter().zip(ahead).map(|(k, x)| k * x).sum::<f64>();
                count.add(2 * ahead.len());
            }
            sum
        })
        .collect()
}

/// h ← (Ā + B̄x) h + B̄x, s = 2·Re Σ C h.
pub(super) fn recurrence(model: &Channel, x: &[f64], count: &mut OpCount) -> Vec<f64> {
    let modes = model.bilinear();
    let mut states = vec![Complex::default(); modes.len()];
    x.iter()
        .map(|x| {
            let mut sum = 0.0;
            for ((state, (a, b)), c) in states.iter_mut().zip(&modes).zip(&model.c[0]) {
                let input = b.times(*x);
                *state = (*a + input) * *state + input;
                sum += (*c * *state).re;
            }
            count.add(16 * modes.len());
            2.0 * sum
        })
        .collect()
}
