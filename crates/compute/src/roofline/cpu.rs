//! The CPU's peaks, in the instruction set that kernels use.

use std::hint::black_box;
use std::sync::Mutex;

use kernels::ops::simd::{InstructionSet, MultiplyAdds, run_widest};
use mixer::{LaneError, Memory, Parallel, Peaks};

use super::{PROBES, more, now};
use crate::{CpuPool, Host};

/// Multiply-adds of each chain in one task.
const ROUNDS: usize = 20_000;

/// Words that one task copies: beyond a core's own caches.
const COPY_WORDS: usize = 4 << 20;

pub(super) async fn peaks(host: &Host, pool: &CpuPool) -> Result<Peaks, LaneError> {
    // More threads than cores move no more, and each holds buffers of its own. In wasm the pool is what there is.
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

    // A budget of its own: the probe runs while no lane does.
    let memory = Memory::new(u64::MAX);
    let mut buffers = Vec::new();
    for _ in 0..tasks {
        buffers.push(Mutex::new((memory.floats(COPY_WORDS)?, memory.floats(COPY_WORDS)?)));
    }
    let copying = |repeats: u32| {
        pool.run(tasks, &|task, _| {
            // Each task has a buffer of its own, so the lock is never contended.
            let Some(Ok(mut guard)) = buffers.get(task).map(Mutex::lock) else { return };
            let (from, to) = &mut *guard;
            for _ in 0..repeats {
                to.copy_from_slice(black_box(from));
                black_box(&mut **to);
            }
        });
    };
    let copy_ns = best(host, pool, copying).await?;
    let starting = |repeats: u32| {
        for _ in 0..repeats {
            pool.run(tasks, &|task, _| {
                black_box(task);
            });
        }
    };
    let dispatch_ns = best(host, pool, starting).await?;

    let flops = tasks as f64 * MultiplyAdds::flops(ROUNDS, InstructionSet::widest());
    let bytes = (tasks * COPY_WORDS * 8) as f64;
    Ok(Peaks {
        flops_per_s: 1e9 * flops / flops_ns,
        f16_flops_per_s: None,
        bytes_per_s: 1e9 * bytes / copy_ns,
        dispatch_ns,
    })
}

/// Nanoseconds of one repetition in the best probe.
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
