//! Measures the CPU's peak rates with the kernels' instruction set.

use std::hint::black_box;
use std::sync::Mutex;

use kernels::ops::exp::Exponentials;
use kernels::ops::simd::{InstructionSet, MultiplyAdds, run_widest};
use mixer::{LaneError, Memory, MixerError, Parallel, Peaks};

use super::{PROBES, more, now};
use crate::{CpuPool, Host};

/// Multiply-adds of each chain in one task.
const ROUNDS: usize = 20_000;

/// Exponentials of each chain in one task.
const EXPONENTIALS: usize = 4_000;

/// Words that one task copies at first: more than the caches of a core.
const COPY_WORDS: usize = 4 << 20;

/// Ratio to the rate of a copy of half the size from which both copies are taken to exceed every cache.
const STEADY: f64 = 0.9;

/// Most bytes of all buffers together: more than the caches of any processor, and less than a phone grants a page.
const MOST_COPY_BYTES: u64 = if cfg!(target_arch = "wasm32") { 256 << 20 } else { 2 << 30 };

pub(super) async fn peaks(host: &Host, pool: &CpuPool, memory_bytes: u64) -> Result<Peaks, LaneError> {
    // More threads than cores move no more bytes, and each has its own buffers. In wasm the pool's threads are fixed.
    let tasks = if cfg!(target_arch = "wasm32") {
        pool.threads()
    } else {
        pool.threads().min(CpuPool::available_threads())
    };
    let arithmetic = |repeats: u32| {
        pool.run(tasks, &|task, _| {
            for _ in 0..repeats {
                black_box(multiply_adds(black_box(task as f32)));
            }
        });
    };
    let flops_ns = best(host, pool, arithmetic).await?;

    let exponentials = |repeats: u32| {
        pool.run(tasks, &|task, _| {
            for _ in 0..repeats {
                black_box(exponentials(black_box(1.0 / (task + 1) as f32)));
            }
        });
    };
    let exponentials_ns = best(host, pool, exponentials).await?;
    let bytes_per_s = copy_rate(host, pool, tasks, memory_bytes).await?;
    let starting = |repeats: u32| {
        for _ in 0..repeats {
            pool.run(tasks, &|task, _| {
                black_box(task);
            });
        }
    };
    let dispatch_ns = best(host, pool, starting).await?;

    let flops = tasks as f64 * MultiplyAdds::flops(ROUNDS, InstructionSet::widest());
    let functions = tasks as f64 * Exponentials::count(EXPONENTIALS, InstructionSet::widest());
    Ok(Peaks {
        flops_per_s: 1e9 * flops / flops_ns,
        f16_flops_per_s: None,
        transcendentals_per_s: 1e9 * functions / exponentials_ns,
        bytes_per_s,
        dispatch_ns,
    })
}

/// Bytes per second of copies beyond every cache. The sizes of caches are not reported everywhere, and cores may share
/// them, so the buffers grow until the rate stops falling or memory is exhausted.
async fn copy_rate(host: &Host, pool: &CpuPool, tasks: usize, memory_bytes: u64) -> Result<f64, LaneError> {
    // Has its own budget, since no lane is prepared during the probe.
    let budget = MOST_COPY_BYTES.min(memory_bytes / 2);
    let mut words = COPY_WORDS;
    let mut rate = copy_rate_of(host, pool, tasks, words, u64::MAX).await?;
    loop {
        words *= 2;
        let next = match copy_rate_of(host, pool, tasks, words, budget).await {
            Ok(next) => next,
            // The largest buffers that fit have been measured.
            Err(LaneError::Mixer(MixerError::OutOfMemory { .. })) => return Ok(rate),
            Err(error) => return Err(error),
        };
        if is_steady(rate, next) {
            return Ok(rate.min(next));
        }
        rate = next;
    }
}

/// Whether a copy of twice the size is as fast, so that neither fits into a cache.
fn is_steady(rate: f64, next: f64) -> bool {
    next >= STEADY * rate
}

/// Bytes per second of copies of `words` words in each task.
async fn copy_rate_of(
    host: &Host,
    pool: &CpuPool,
    tasks: usize,
    words: usize,
    budget: u64,
) -> Result<f64, LaneError> {
    let memory = Memory::new(budget);
    let mut buffers = Vec::new();
    for _ in 0..tasks {
        buffers.push(Mutex::new((memory.floats(words)?, memory.floats(words)?)));
    }
    let copying = |repeats: u32| {
        pool.run(tasks, &|task, _| {
            // Each task has its own buffer, so the lock is never contended.
            let Some(Ok(mut guard)) = buffers.get(task).map(Mutex::lock) else { return };
            let (from, to) = &mut *guard;
            for _ in 0..repeats {
                to.copy_from_slice(black_box(from));
                black_box(&mut **to);
            }
        });
    };
    let copy_ns = best(host, pool, copying).await?;
    Ok(1e9 * 8.0 * tasks as f64 * words as f64 / copy_ns)
}

/// Nanoseconds of one repetition in the fastest probe.
async fn best(host: &Host, pool: &CpuPool, work: impl Fn(u32)) -> Result<f64, LaneError> {
    let mut repeats = 1;
    let mut best = f64::INFINITY;
    let mut probes = 0;
    while probes < PROBES {
        let started = now(host);
        work(repeats);
        let elapsed = now(host) - started;
        if pool.is_cancelled() {
            return Err(LaneError::Cancelled);
        }
        host.breathe().await;
        if let Some(next) = more(repeats, elapsed) {
            repeats = next;
        } else {
            best = best.min(elapsed / f64::from(repeats));
            probes += 1;
        }
    }
    Ok(best)
}

#[inline(never)]
fn multiply_adds(seed: f32) -> f32 {
    run_widest(MultiplyAdds { rounds: ROUNDS, seed })
}

#[inline(never)]
fn exponentials(seed: f32) -> f32 {
    run_widest(Exponentials { rounds: EXPONENTIALS, seed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_grow_while_the_rate_falls() {
        assert!(!is_steady(100e9, 60e9));
        assert!(is_steady(60e9, 58e9));
        assert!(is_steady(60e9, 70e9));
    }
}
