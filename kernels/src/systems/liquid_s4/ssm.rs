//! The state-space model of each channel, discretised by the bilinear transform, as a convolution kernel. Kernels are
//! computed at set-up, in f64.
//!
//! The normal-plus-low-rank form needs no dense matrix: (1 − ΔA/2)⁻¹(1 + ΔA/2) with A = diag(w) − p pᴴ is applied to a
//! state in linear time by the Sherman–Morrison formula, and conjugate pairs are stored once.

use mixer::{Count, MixerError, Parallel, Tensors};

use super::spec::{Mode, Spec};
use crate::ops::complex::Complex;
use crate::ops::parts::for_each;

/// Modes per step.
const TOGETHER: usize = 4;

/// One channel in continuous time.
#[derive(Debug)]
pub(super) struct Channel {
    /// Step Δ.
    pub step: f64,
    /// Diagonal of A.
    pub w: Vec<Complex>,
    /// p, if A has a low-rank part.
    pub p: Option<Vec<Complex>>,
    pub b: Vec<Complex>,
    /// C of each direction.
    pub c: Vec<Vec<Complex>>,
}

/// All channels.
#[derive(Debug)]
pub(super) struct Ssm {
    pub channels: Vec<Channel>,
}

impl Ssm {
    /// Reads the trained parameters.
    ///
    /// # Errors
    /// [`MixerError::MissingTensor`] or [`MixerError::TensorShape`].
    pub(super) fn read(spec: &Spec, tensors: &Tensors) -> Result<Self, MixerError> {
        let (width, modes, directions) = (spec.dims.d_model, spec.modes, spec.directions());
        let (real, imag) = match spec.mode {
            Mode::Diag => ("param.inv_A_real", "param.A_imag"),
            Mode::Nplr => ("param.inv_w_real", "param.w_imag"),
        };
        let real = tensors.floats(real, &[width, modes])?;
        let imag = tensors.floats(imag, &[width, modes])?;
        let p = match spec.mode {
            Mode::Diag => None,
            Mode::Nplr => Some(tensors.floats("param.P", &[1, width, modes, 2])?),
        };
        let b = tensors.floats("param.B", &[width, modes, 2])?;
        let c = tensors.floats("param.C", &[directions, width, modes, 2])?;
        let step = tensors.floats("param.log_dt", &[width])?;
        let channels = (0..width).map(|d| {
            let part = |tensor: &[f32], first: usize| -> Vec<Complex> {
                tensor[first * modes * 2..][..modes * 2].chunks_exact(2).map(Complex::of).collect()
            };
            Channel {
                step: f64::from(step[d]).exp(),
                w: (d * modes..(d + 1) * modes)
                    .map(|m| Complex::new(-f64::from(real[m]).exp(), f64::from(imag[m])))
                    .collect(),
                p: p.map(|p| part(p, d)),
                b: part(b, d),
                c: (0..directions).map(|direction| part(c, direction * width + d)).collect(),
            }
        });
        Ok(Self { channels: channels.collect() })
    }

    /// Kernels k[direction, channel, 0 .. length] as f32, in parallel over channels.
    pub(super) fn kernels(&self, length: usize, k: &mut [f32], parallel: &dyn Parallel) {
        let width = self.channels.len();
        let rows = k.chunks_mut(length).enumerate();
        for_each(parallel, rows.len(), rows, |(row, to), _| {
            self.channels[row % width].for_each_tap(row / width, length, |l, value| to[l] = value as f32);
        });
    }
}

/// Modes, one per lane.
#[derive(Debug, Clone, Copy)]
struct Lanes {
    re: [f64; TOGETHER],
    im: [f64; TOGETHER],
}

fn pack(values: impl ExactSizeIterator<Item = Complex>) -> Vec<Lanes> {
    let zero = Lanes { re: [0.0; TOGETHER], im: [0.0; TOGETHER] };
    let mut lanes = vec![zero; values.len().div_ceil(TOGETHER)];
    for (index, value) in values.enumerate() {
        lanes[index / TOGETHER].re[index % TOGETHER] = value.re;
        lanes[index / TOGETHER].im[index % TOGETHER] = value.im;
    }
    lanes
}

impl Lanes {
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        let mut product = self;
        for lane in 0..TOGETHER {
            product.re[lane] = self.re[lane] * other.re[lane] - self.im[lane] * other.im[lane];
            product.im[lane] = self.re[lane] * other.im[lane] + self.im[lane] * other.re[lane];
        }
        product
    }

    /// self − factor · other.
    #[inline(always)]
    fn minus(self, factor: f64, other: Self) -> Self {
        let mut difference = self;
        for lane in 0..TOGETHER {
            difference.re[lane] -= factor * other.re[lane];
            difference.im[lane] -= factor * other.im[lane];
        }
        difference
    }

    /// Adds the real part of self · other.
    #[inline(always)]
    fn add_real(self, other: Self, sums: &mut [f64; TOGETHER]) {
        for lane in 0..TOGETHER {
            sums[lane] += self.re[lane] * other.re[lane] - self.im[lane] * other.im[lane];
        }
    }
}

impl Channel {
    /// Ā = (1 + Δw/2)/(1 − Δw/2) and B̄ = ΔB/(1 − Δw/2) of each mode, without the low-rank part.
    pub(super) fn bilinear(&self) -> Vec<(Complex, Complex)> {
        self.w.iter().zip(&self.b).map(|(w, b)| discretise(self.step, *w, *b)).collect()
    }

    /// Calls `emit(l, k[l])` for the kernel of one direction.
    pub(super) fn for_each_tap(&self, direction: usize, length: usize, emit: impl FnMut(usize, f64)) {
        match &self.p {
            None => self.diagonal_taps(direction, length, emit),
            Some(p) => self.low_rank_taps(p, direction, length, emit),
        }
    }

    /// k[l] = 2·Re Σ C B̄ Āˡ by powers.
    fn diagonal_taps(&self, direction: usize, length: usize, mut emit: impl FnMut(usize, f64)) {
        let modes = self.bilinear();
        let a = pack(modes.iter().map(|(a, _)| *a));
        let mut powers = pack(modes.iter().zip(&self.c[direction]).map(|((_, b), c)| *c * *b));
        for l in 0..length {
            let mut sums = [0.0; TOGETHER];
            for (power, a) in powers.iter_mut().zip(&a) {
                for lane in 0..TOGETHER {
                    sums[lane] += power.re[lane];
                }
                *power = power.times(*a);
            }
            emit(l, 2.0 * sums.iter().sum::<f64>());
        }
    }

    /// k[l] = 2·Re C Āˡ B̄ over half of the conjugate pairs: pᴴv is 2·Re Σ p̄ v.
    fn low_rank_taps(
        &self,
        p: &[Complex],
        direction: usize,
        length: usize,
        mut emit: impl FnMut(usize, f64),
    ) {
        let half = self.step / 2.0;
        let inverse: Vec<Complex> = self.w.iter().map(|w| (Complex::ONE - w.times(half)).inverse()).collect();
        let quadratic: f64 = p.iter().zip(&inverse).map(|(p, d)| 2.0 * (d.times(p.square())).re).sum();
        let correction = half / (1.0 + half * quadratic);
        let conjugate = pack(p.iter().map(|p| p.conj()));
        let low = pack(p.iter().copied());
        let solved = pack(p.iter().zip(&inverse).map(|(p, d)| *p * *d));
        let grown = pack(self.w.iter().map(|w| Complex::ONE + w.times(half)));
        let inverse = pack(inverse.iter().copied());
        let c = pack(self.c[direction].iter().copied());
        // pᴴ v over both halves of the pairs.
        let project = |v: &[Lanes]| {
            let mut sums = [0.0; TOGETHER];
            conjugate.iter().zip(v).for_each(|(p, v)| p.add_real(*v, &mut sums));
            2.0 * sums.iter().sum::<f64>()
        };
        // v ← (1 − ΔA/2)⁻¹ v.
        let solve = |v: &mut [Lanes]| {
            v.iter_mut().zip(&inverse).for_each(|(v, d)| *v = v.times(*d));
            let t = correction * project(v);
            v.iter_mut().zip(&solved).for_each(|(v, p)| *v = v.minus(t, *p));
        };
        let mut v = pack(self.b.iter().map(|b| b.times(self.step)));
        solve(&mut v);
        for l in 0..length {
            let mut sums = [0.0; TOGETHER];
            c.iter().zip(&v).for_each(|(c, v)| c.add_real(*v, &mut sums));
            emit(l, 2.0 * sums.iter().sum::<f64>());
            let s = half * project(&v);
            for ((v, grown), p) in v.iter_mut().zip(&grown).zip(&low) {
                *v = v.times(*grown).minus(s, *p);
            }
            solve(&mut v);
        }
    }
}

/// Ā and B̄ of one mode.
pub(super) fn discretise(step: f64, w: Complex, b: Complex) -> (Complex, Complex) {
    let inverse = (Complex::ONE - w.times(step / 2.0)).inverse();
    ((Complex::ONE + w.times(step / 2.0)) * inverse, b.times(step) * inverse)
}

/// Operations of a channel's kernel: a complex multiply-add per mode and lag; in the low-rank form also two
/// projections, a diagonal step, a diagonal solution and two corrections.
pub(super) fn kernel_flops(spec: &Spec) -> Count {
    let per_mode = match spec.mode {
        Mode::Diag => 8,
        Mode::Nplr => 4 + 2 * 4 + 2 * 6 + 2 * 4,
    };
    let (sizes, [directions, modes]) = (spec.dims.sizes(), Count::all([spec.directions(), spec.modes]));
    per_mode * directions * sizes.d_model * modes * sizes.seq_len
}
