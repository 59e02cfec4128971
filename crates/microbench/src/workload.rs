//! What can be measured, by name.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use kernels::ops::fft::{Fft, Row};
use kernels::ops::gemm::{PANEL, ROWS, Store, Tile, multiply};
use kernels::ops::linear::Linear;
use kernels::ops::long_conv::{FilterBank, GROUP, fft_size};
use kernels::ops::query_block::{KEYS, LOWEST, QUERIES, online_softmax};
use kernels::ops::simd::{Lanes as _, Pair};
use kernels::ops::stream::Stream;
use mixer::{CpuKernel, Floats, Level, Memory, MixerError, Parallel, Params, Problem};

use crate::{peak, peer};

/// Model width of every workload but the matrix products.
const WIDTH: usize = 256;

/// Heads.
const HEADS: usize = 4;

/// Strips and depth of the product that stays in the first-level cache.
const STRIPS: usize = 4;
const DEPTH: usize = 128;

/// Times that one run repeats it.
const TIMES: usize = 100;

/// Something made ready to run again and again.
pub struct Workload {
    /// Operations of one run, a multiply-add counting as two.
    pub flops: f64,
    run: Box<dyn FnMut() -> Result<f32, MixerError>>,
}

impl Workload {
    /// `registers`: multiply-adds alone. `tile`: the matrix product's microkernel on operands in the first-level cache.
    /// `softmax`: exponentials of a tile of scores.
    /// `gemm:N`: a linear layer of width N on N rows. `conv:L`: long convolution of 256 channels, `rustfft:L`: the
    /// same by RustFFT. Else
    /// `SYSTEM:L[:causal][:layer]`: a system's kernel on its seeded case, width 256, 4 heads. Systems and matrix products
    /// run on `parallel`, everything else on the calling thread.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] for any other name; what the kernel refuses.
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
            "gemm" => gemm(size(&mut words)?, parallel),
            "conv" => convolution(size(&mut words)?),
            "rustfft" => Ok(rustfft(size(&mut words)?)),
            _ => {
                let seq_len = size(&mut words)?;
                let rest: Vec<&str> = words.collect();
                system(kind, seq_len, rest.contains(&"causal"), rest.contains(&"layer"), parallel)
            }
        }
    }

    /// Runs `times` times; the result depends on every run's output.
    ///
    /// # Errors
    /// What the kernel says.
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

/// A buffer's first and last value: nothing that made them can be left out.
fn ends(values: &[f32]) -> f32 {
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

/// Counted as what each score needs: largest, difference, rounding (3), polynomial (12), exponent (2), total.
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

/// The operations of real transforms by the split of a half-size complex one, 5/2 · N · log₂ N each, forward and back, and
/// of the product.
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
    // [channel groups, time, GROUP], as the systems' projections leave their streams.
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

fn system(
    id: &str,
    seq_len: usize,
    causal: bool,
    layer: bool,
    parallel: Rc<dyn Parallel>,
) -> Result<Workload, MixerError> {
    let system = kernels::find(id)?;
    let level = if layer { Level::Layer } else { Level::Core };
    let problem = Problem { batch: 1, seq_len, d_model: WIDTH, n_heads: HEADS, causal, level, seed: 1 };
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
