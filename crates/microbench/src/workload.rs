//! The workloads, selected by name.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use kernels::ops::fft::{Fft, Row};
use kernels::ops::gemm::{PANEL, ROWS, Store, Tile, multiply};
use kernels::ops::linear::Linear;
use kernels::ops::long_conv::{FilterBank, GROUP, fft_size};
use kernels::ops::parts::for_each;
use kernels::ops::query_block::{KEYS, LOWEST, QUERIES, online_softmax};
use kernels::ops::simd::{Lanes as _, Pair};
use kernels::ops::stream::Stream;
use mixer::{CpuKernel, Floats, Level, Memory, MixerError, Parallel, Params, Problem};

use crate::{decode, peak, peer};

/// Model width of all workloads except matrix products.
pub(crate) const WIDTH: usize = 256;

/// Number of heads.
pub(crate) const HEADS: usize = 4;

/// Strips and depth of the product of `tile`, which stays in the first-level cache.
const STRIPS: usize = 4;
const DEPTH: usize = 128;

/// Repetitions of that product per run.
const TIMES: usize = 100;

/// A prepared workload, which can run repeatedly.
pub struct Workload {
    /// Operations per run; a multiply-add counts as two.
    pub flops: f64,
    pub(crate) run: Box<dyn FnMut() -> Result<f32, MixerError>>,
}

impl Workload {
    /// Prepares the workload `name`:
    /// `registers`: multiply-adds on registers. `tile`: the matrix product's microkernel with operands in the
    /// first-level cache. `softmax`: exponentials of a tile of scores. `gemm:N`: a linear layer of width N on N rows.
    /// `conv:L`: long convolution of 256 channels; `rustfft:L`: that convolution by RustFFT.
    /// `copy:N`: reading N floats and writing them elsewhere; `read:N`: reading N floats. Their bytes count as operations.
    /// `decode:SYSTEM[-METHOD]:L[:layer][:worst]`: 256 tokens after a context of L, or the one that takes longest in blocks;
    /// the bytes that a step must read and write count as operations.
    /// `SYSTEM:L[:causal][:layer]`: a system's kernel on its seeded case with width 256 and 4 heads. Systems and matrix
    /// products run on `parallel`, other workloads on the calling thread.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] for any other name, or the error of the kernel.
    pub fn named(name: &str, parallel: Rc<dyn Parallel>) -> Result<Self, MixerError> {
        let mut words = name.split(':');
        let kind = words.next().unwrap_or_default();
        let size = |words: &mut std::str::Split<'_, char>| {
            let word = words.next().unwrap_or_default();
            word.parse().map_err(|_| MixerError::invalid("size", "a whole number", word))
        };
        match kind {
            "registers" => Ok(Self { flops: peak::flops(), run: Box::new(|| Ok(peak::registers(1.0))) }),
            "tile" => Ok(tile()),
            "softmax" => Ok(softmax()),
            "copy" => Ok(copy(size(&mut words)?, parallel)),
            "read" => Ok(read(size(&mut words)?, parallel)),
            "gemm" => gemm(size(&mut words)?, parallel),
            "conv" => convolution(size(&mut words)?),
            "decode" => {
                let system = words.next().unwrap_or_default();
                let context = size(&mut words)?;
                decode::generation(system, context, &words.collect::<Vec<_>>(), parallel)
            }
            "rustfft" => Ok(rustfft(size(&mut words)?)),
            _ => {
                let seq_len = size(&mut words)?;
                let rest: Vec<&str> = words.collect();
                system(kind, seq_len, rest.contains(&"causal"), rest.contains(&"layer"), parallel)
            }
        }
    }

    /// Runs `times` times. The result depends on the output of every run.
    ///
    /// # Errors
    /// The error of the kernel.
    pub fn run(&mut self, times: u32) -> Result<f32, MixerError> {
        let mut sum = 0.0;
        for _ in 0..times {
            sum += (self.run)()?;
        }
        Ok(sum)
    }
}

fn random(len: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..len).map(|_| random.f32() - 0.5).collect()
}

/// Sum of a buffer's first and last values, so that the compiler cannot remove their computation.
pub(crate) fn ends(values: &[f32]) -> f32 {
    values.first().copied().unwrap_or_default() + values.last().copied().unwrap_or_default()
}

fn tile() -> Workload {
    let rows = STRIPS * ROWS;
    let (a, b) = (random(rows * DEPTH), random(DEPTH * PANEL));
    let mut c = vec![0.0; rows * PANEL];
    Workload {
        flops: (2 * TIMES * rows * DEPTH * PANEL) as f64,
        run: Box::new(move || {
            for _ in 0..TIMES {
                let mut tile = Tile { floats: &mut c, stride: PANEL, columns: PANEL };
                multiply(&a, DEPTH, rows, DEPTH, &b, Store::Set, &mut tile);
            }
            Ok(ends(&c))
        }),
    }
}

/// Operations per score: maximum, difference, rounding (3), polynomial (12), exponent (2), total.
fn softmax() -> Workload {
    let (rows, width) = (QUERIES, KEYS);
    let scores = random(rows * width);
    let (mut weights, mut sums) = (scores.clone(), vec![0.0; WIDTH / HEADS]);
    Workload {
        flops: (20 * rows * width) as f64,
        run: Box::new(move || {
            weights.copy_from_slice(&scores);
            let mut total = 0.0;
            for row in weights.chunks_exact_mut(width) {
                let mut maximum = LOWEST;
                online_softmax(row, &mut maximum, &mut total, &mut sums);
            }
            Ok(total)
        }),
    }
}

fn gemm(n: usize, parallel: Rc<dyn Parallel>) -> Result<Workload, MixerError> {
    let linear = Linear::new(&Memory::new(u64::MAX), n, n, &random(n * n), None)?;
    let x = random(n * n);
    let mut y = vec![0.0; n * n];
    Ok(Workload {
        flops: 2.0 * (n * n * n) as f64,
        run: Box::new(move || {
            linear.apply(&x, &mut y, &*parallel);
            Ok(ends(&y))
        }),
    })
}

/// Operations of the real transforms, each by a complex transform of half the size with 5/2 · N · log₂ N, forward and
/// inverse, and of the product.
fn convolution_flops(size: usize) -> f64 {
    WIDTH as f64 * (5.0 * size as f64 * f64::from(size.ilog2()) + 3.0 * size as f64)
}

fn rustfft(seq_len: usize) -> Workload {
    let size = fft_size(seq_len);
    let mut run = peer::convolution(WIDTH, seq_len, size, &random(seq_len), random(WIDTH * seq_len));
    Workload { flops: convolution_flops(size), run: Box::new(move || Ok(run())) }
}

fn convolution(seq_len: usize) -> Result<Workload, MixerError> {
    let memory = Memory::new(u64::MAX);
    let size = fft_size(seq_len);
    let fft = Fft::new(&memory, size)?;
    let taps = random(seq_len + GROUP);
    let groups = WIDTH / GROUP;
    let bank = FilterBank::new(&memory, &fft, groups, seq_len, |_, lane, t| taps[t + lane])?;
    // [channel groups, time, GROUP], the layout of the systems' projected streams.
    let x = random(WIDTH * seq_len);
    let mut y: Floats = memory.floats(WIDTH * seq_len)?;
    let mut work = memory.floats(fft.data_floats())?;
    Ok(Workload {
        flops: convolution_flops(size),
        run: Box::new(move || {
            let floats = seq_len * GROUP;
            for (group, (from, to)) in x.chunks_exact(floats).zip(y.chunks_exact_mut(floats)).enumerate() {
                let to: Cell<&mut [Row]> = Cell::new(to.as_chunks_mut().0);
                let from = Stream::of_panel(from);
                let read = |_: usize, t: usize, rows: &mut [Row]| from.read(t, rows);
                let write = |_: usize, t: usize, rows: &mut [Row]| {
                    let all = to.take();
                    all[t..].iter_mut().zip(rows).for_each(|(to, row)| Pair::load(&*row).store(to));
                    to.set(all);
                };
                bank.convolve(&fft, group..group + 1, seq_len, &read, &write, &mut work);
            }
            Ok(ends(&y))
        }),
    })
}

/// Floats of a task of `copy` and `read`.
const PART: usize = 1 << 16;

fn copy(len: usize, parallel: Rc<dyn Parallel>) -> Workload {
    let (from, mut to) = (random(len), vec![0.0; len]);
    Workload {
        flops: 8.0 * len as f64,
        run: Box::new(move || {
            let parts = from.chunks(PART).zip(to.chunks_mut(PART));
            for_each(&*parallel, len.div_ceil(PART), parts, |(from, to), _| to.copy_from_slice(from));
            Ok(ends(&to))
        }),
    }
}

/// Sums of all floats, on many chains.
fn read(len: usize, parallel: Rc<dyn Parallel>) -> Workload {
    let from = random(len);
    let mut sums = vec![0.0; len.div_ceil(PART)];
    Workload {
        flops: 4.0 * len as f64,
        run: Box::new(move || {
            let parts = from.chunks(PART).zip(&mut sums);
            for_each(&*parallel, len.div_ceil(PART), parts, |(from, to), _| {
                let mut sums = [0.0_f32; 8 * GROUP];
                for chunk in from.as_chunks::<{ 8 * GROUP }>().0 {
                    sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value);
                }
                *to = sums.iter().sum();
            });
            Ok(sums.iter().sum())
        }),
    }
}

fn system(
    id: &str,
    seq_len: usize,
    causal: bool,
    layer: bool,
    parallel: Rc<dyn Parallel>,
) -> Result<Workload, MixerError> {
    let system = kernels::find(id)?;
    let level = if layer { Level::Layer } else { Level::Core };
    let problem = Problem {
        batch: 1,
        seq_len,
        d_model: WIDTH,
        n_heads: HEADS,
        causal,
        level,
        seed: 1,
        task: mixer::Task::Forward,
    };
    let params = Params::new();
    let case = Arc::new(system.seeded_case(&problem, &params)?);
    let mut kernel: Box<dyn CpuKernel> = system.cpu(&case, &Memory::new(u64::MAX), &*parallel)?;
    Ok(Workload {
        flops: system.cost(&problem, &params)?.flops as f64,
        run: Box::new(move || {
            kernel.run(&*parallel)?;
            Ok(ends(kernel.output()))
        }),
    })
}
