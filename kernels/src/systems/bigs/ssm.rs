//! The diagonal state-space model S4D with one step size for all channels, discretised by zero-order hold, as a
//! convolution kernel.
//!
//! The kernel is built in f64, since phases reach thousands of radians before a mode has decayed.

use mixer::{Count, MixerError, Tensors};

/// Direction in which a model reads the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first position to the last.
    Forward,
    /// From the last position to the first.
    Backward,
}

impl Direction {
    /// Both directions.
    pub const BOTH: [Self; 2] = [Self::Forward, Self::Backward];

    /// Prefix of the direction's tensor names.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Forward => "fs4",
            Self::Backward => "bs4",
        }
    }
}

/// One mode in discrete time; the kernel is Re Σ c·aˡ.
#[derive(Debug, Clone, Copy)]
pub struct Mode {
    /// Ā as (re, im).
    pub a: [f64; 2],
    /// C·B̄ as (re, im).
    pub c: [f64; 2],
}

/// One state-space model.
#[derive(Debug)]
pub struct Ssm {
    /// Its modes.
    pub modes: Vec<Mode>,
    /// The skip D_s.
    pub skip: f64,
}

fn times(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}

impl Ssm {
    /// Reads `param.<prefix>.…` and discretises: Ā = exp(ΔA), B̄ = (exp(ΔA) − 1)/A.
    ///
    /// # Errors
    /// [`MixerError::MissingTensor`] or [`MixerError::TensorShape`].
    pub fn read(tensors: &Tensors, prefix: &str, modes: usize) -> Result<Self, MixerError> {
        let get = |name: &str, shape: &[usize]| tensors.floats(&format!("param.{prefix}.{name}"), shape);
        let (re, im) = (get("A_re", &[modes])?, get("A_im", &[modes])?);
        let c = get("C", &[modes, 2])?;
        let step = f64::from(get("log_step", &[1])?[0]).exp();
        let modes = re.iter().zip(im).zip(c.chunks_exact(2)).map(|((re, im), c)| {
            let [re, im] = [*re, *im].map(f64::from);
            // `min` would hide a NaN.
            let pole = [if re > -1e-4 { -1e-4 } else { re }, im];
            let growth = (step * pole[0]).exp();
            let a = [growth * (step * pole[1]).cos(), growth * (step * pole[1]).sin()];
            let square = pole[0] * pole[0] + pole[1] * pole[1];
            let inverse = [pole[0] / square, -pole[1] / square];
            let b = times([a[0] - 1.0, a[1]], inverse);
            Mode { a, c: times([f64::from(c[0]), f64::from(c[1])], b) }
        });
        Ok(Self { modes: modes.collect(), skip: f64::from(get("D", &[1])?[0]) })
    }

    /// Operations of a kernel: a complex multiply-add per mode and lag. Exponentials are not counted.
    pub fn kernel_flops(modes: usize, length: usize) -> Count {
        8 * Count::from(modes) * Count::from(length)
    }

    /// Calls `emit(l, K[l])` for l < `length`, K[l] = Re Σ C_n B̄_n Ā_nˡ, by powers in f64.
    pub fn for_each_tap(&self, length: usize, mut emit: impl FnMut(usize, f64)) {
        let mut powers: Vec<[f64; 2]> = self.modes.iter().map(|mode| mode.c).collect();
        for l in 0..length {
            let mut sum = 0.0;
            for (power, mode) in powers.iter_mut().zip(&self.modes) {
                sum += power[0];
                *power = times(*power, mode.a);
            }
            emit(l, sum);
        }
    }

    /// The kernel in f64, `[length]`.
    pub fn kernel(&self, length: usize) -> Vec<f64> {
        let mut kernel = vec![0.0; length];
        self.for_each_tap(length, |l, value| kernel[l] = value);
        kernel
    }
}
