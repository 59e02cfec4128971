//! The CPU's peaks, in the instruction set that kernels use.

use std::hint::black_box;
use std::sync::Mutex;

use kernels::ops::simd::{F32x4, LANES};
use mixer::{LaneError, Memory, Parallel, Peaks};

use super::{PROBES, more, now};
use crate::{CpuPool, Host};

/// Independent chains: enough to hide a multiply-add's latency, few enough to stay in registers.
const CHAINS: usize = 12;

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
            // Different in every lane, or the compiler would compute one for all.
            let starts = std::array::from_fn(|i| (task + i) as f32);
            let mut results = starts;
            for _ in 0..repeats {
                multiply_adds(black_box(&starts), black_box(&mut results));
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

    let flops = (tasks * CHAINS * ROUNDS * LANES * 2) as f64;
    let bytes = (tasks * COPY_WORDS * 8) as f64;
    Ok(Peaks { flops_per_s: 1e9 * flops / flops_ns, bytes_per_s: 1e9 * bytes / copy_ns, dispatch_ns })
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

/// Every lane's result is stored, one beside the other: that is what the native compiler vectorises from.
#[inline(never)]
fn multiply_adds(starts: &[f32; CHAINS * LANES], results: &mut [f32; CHAINS * LANES]) {
    let (a, b) =
        (F32x4::from_array(&black_box([0.999; LANES])), F32x4::from_array(&black_box([1e-3; LANES])));
    let mut chains: [F32x4; CHAINS] = std::array::from_fn(|i| F32x4::load(&starts[LANES * i..]));
    for _ in 0..ROUNDS {
        // By value, so that the chains stay in registers.
        chains = chains.map(|chain| b.mul_add(chain, a));
    }
    for (chain, result) in chains.iter().zip(results.as_chunks_mut().0) {
        chain.write_to(result);
    }
}
