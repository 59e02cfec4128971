//! The liquid terms: products of inputs, and the gain of each degree in each channel.

use mixer::{MixerError, Tensors};

use super::spec::{Liquid, Spec};
use super::ssm::discretise;
use crate::ops::complex::Complex;

/// n choose q, saturating.
pub(super) fn binomial(n: usize, q: usize) -> u64 {
    if q > n {
        return 0;
    }
    let mut result: u128 = 1;
    for i in 0..q {
        result = result * (n - i) as u128 / (i + 1) as u128;
        if result > u128::from(u64::MAX) {
            return u64::MAX;
        }
    }
    result as u64
}

/// Number of last positions with enough `q`-tuples for a sequence of `length`; `None` if there is no such number.
pub(super) fn positions(length: usize, q: usize) -> Option<usize> {
    (2..length).find(|&n| binomial(n, q) >= length as u64)
}

/// The increasing `q`-tuples of `0 .. n` in lexicographic order, from rank `first` on.
#[derive(Debug)]
pub(super) struct Tuples {
    n: usize,
    tuple: [usize; MAX_DEGREE],
    q: usize,
}

/// Largest degree accepted.
pub(super) const MAX_DEGREE: usize = 8;

impl Tuples {
    /// The last `length` tuples of the positions that a sequence of that length uses.
    pub(super) fn last(length: usize, q: usize) -> Option<Self> {
        let n = positions(length, q)?;
        Some(Self::from_rank(n, q, binomial(n, q) - length as u64))
    }

    /// Rank of the first tuple.
    pub(super) fn from_rank(n: usize, q: usize, mut rank: u64) -> Self {
        let mut tuple = [0; MAX_DEGREE];
        let mut next = 0;
        for place in 0..q {
            let mut value = next;
            loop {
                let below = binomial(n - 1 - value, q - 1 - place);
                if rank < below || value + 1 >= n {
                    break;
                }
                rank -= below;
                value += 1;
            }
            tuple[place] = value;
            next = value + 1;
        }
        Self { n, tuple, q }
    }

    /// The tuples of a sequence of `length` at some indices: for each component its positions in the sequence.
    pub(super) fn places(length: usize, q: usize, indices: std::ops::Range<usize>) -> Vec<Vec<usize>> {
        let mut places = vec![Vec::with_capacity(indices.len()); q];
        let Some(n) = positions(length, q) else { return places };
        let first = binomial(n, q) - (length - indices.start) as u64;
        let mut tuples = Self::from_rank(n, q, first);
        while places[0].len() < indices.len() {
            let (prefix, last) = tuples.run();
            let missing = indices.len() - places[0].len();
            for last in last.take(missing) {
                for (place, position) in places.iter_mut().zip(prefix.iter().copied().chain([last])) {
                    place.push(length - n + position);
                }
            }
            if !tuples.advance() {
                break;
            }
        }
        places
    }

    /// Number of positions to choose from.
    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// The current tuple without its last component, and the range of the last component.
    pub(super) fn run(&self) -> (&[usize], std::ops::Range<usize>) {
        (&self.tuple[..self.q - 1], self.tuple[self.q - 1]..self.n)
    }

    /// Advances to the first tuple with the next prefix; false if there is none.
    pub(super) fn advance(&mut self) -> bool {
        let q = self.q;
        let Some(place) = (0..q - 1).rev().find(|&place| self.tuple[place] < self.n - q + place) else {
            return false;
        };
        self.tuple[place] += 1;
        for later in place + 1..q {
            self.tuple[later] = self.tuple[later - 1] + 1;
        }
        true
    }
}

/// Gains of each degree 2 … P in each channel, in f64, `[degrees, width]`.
#[derive(Debug)]
pub(super) struct Gains {
    /// Gains of the reversed products.
    pub reversed: Vec<Vec<f64>>,
    /// Gains of the products in their own order; empty unless the model is bidirectional.
    pub straight: Vec<Vec<f64>>,
}

/// Reads the liquid parameters. PB: g = β₀ S^(2^(q−1) − 1); KB: S^(q−1), the kernel itself being applied later.
///
/// # Errors
/// [`MixerError::MissingTensor`] or [`MixerError::TensorShape`].
pub(super) fn gains(spec: &Spec, tensors: &Tensors) -> Result<Gains, MixerError> {
    let (width, modes, directions) = (spec.dims.d_model, spec.modes, spec.directions());
    let b = tensors.floats("param.liquid_B", &[width, modes, 2])?;
    let w = tensors.floats("param.liquid_w", &[width, modes, 2])?;
    let c = tensors.floats("param.liquid_C", &[directions, width, modes, 2])?;
    let step = tensors.floats("param.liquid_log_dt", &[width])?;
    let mut gains = Gains { reversed: Vec::new(), straight: Vec::new() };
    let at = |tensor: &[f32], index: usize| Complex::of(&tensor[2 * index..][..2]);
    // S and β of each channel.
    let scalars: Vec<(f64, [f64; 2])> = (0..width)
        .map(|d| {
            let (mut s, mut beta) = (0.0, [0.0; 2]);
            for m in d * modes..(d + 1) * modes {
                let (_, discrete) = discretise(f64::from(step[d]).exp(), at(w, m), at(b, m));
                s += 2.0 * discrete.re;
                for (direction, beta) in beta.iter_mut().enumerate().take(directions) {
                    *beta += 2.0 * (at(c, direction * width * modes + m) * discrete).re;
                }
            }
            (s, beta)
        })
        .collect();
    for q in 2..=spec.degree {
        let factors = if spec.liquid == Liquid::Kb { q - 1 } else { (1 << (q - 1)) - 1 };
        let gain = |direction: usize| {
            scalars
                .iter()
                .map(|(s, beta)| {
                    (0..factors).map(|_| *s).product::<f64>()
                        * if spec.liquid == Liquid::Kb { 1.0 } else { beta[direction] }
                })
                .collect()
        };
        gains.reversed.push(gain(0));
        if spec.bidirectional && spec.liquid == Liquid::PolyB {
            gains.straight.push(gain(1));
        }
    }
    Ok(gains)
}
