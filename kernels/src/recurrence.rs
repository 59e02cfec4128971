//! What the GPU plans of recurrences share. One workgroup takes a sequence and walks it step by step, its state in
//! workgroup memory; between dispatches the state waits in a buffer, so that a long sequence is many short dispatches.

use mixer::{GpuTarget, MixerError};

use crate::dims::Dims;
use crate::ops::gpu::word;

/// Invocations of a workgroup.
const THREADS: usize = 256;

/// Floats of `memory` in `recurrence.wgsl`.
const MEMORY: usize = 3072;

/// Operations that one workgroup may do in a dispatch. It runs on one of a device's many cores, at a few GFLOP/s on a
/// weak one: some tens of milliseconds.
const WORKGROUP_FLOPS: u64 = 1 << 26;

/// Most bytes of what is computed for the steps of a dispatch before it.
const CHUNK_BYTES: usize = 32 << 20;

/// Refuses states, and what layers compute from them, that workgroup memory cannot hold.
///
/// # Errors
/// [`MixerError::NeedsLimit`].
pub(crate) fn check_memory(floats: usize, target: &GpuTarget) -> Result<(), MixerError> {
    let partial = 16 * THREADS as u64;
    let available = u64::from(target.max_workgroup_storage_bytes).min(4 * MEMORY as u64 + partial);
    let needed = 4 * floats as u64 + partial;
    if needed > available {
        return Err(MixerError::NeedsLimit {
            limit: "maxComputeWorkgroupStorageSize".to_owned(),
            needed,
            available,
        });
    }
    Ok(())
}

/// How a workgroup is dealt out over `units`: how many it takes at once, and threads that share each of them.
pub(crate) fn width_and_parts(units: usize) -> [u32; 2] {
    let width = units.next_power_of_two().min(THREADS);
    [word(width), word(THREADS / width)]
}

/// How time and sequences are cut into dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunks {
    dims: Dims,
    /// Sequences of a dispatch.
    pub sequences: usize,
    /// Steps of a dispatch.
    pub steps: usize,
}

/// The sequences and steps of one dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub first_sequence: usize,
    pub sequences: usize,
    pub first_step: usize,
    pub steps: usize,
}

impl Chunks {
    /// For steps of `step_flops` operations, where each holds `row_floats` floats that were computed before.
    pub(crate) fn new(target: &GpuTarget, dims: Dims, step_flops: u64, row_floats: usize) -> Self {
        let whole = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
        let step_flops = step_flops.max(1);
        let sequences = whole(target.max_dispatch_flops / step_flops)
            .min(target.max_workgroups_per_dimension as usize)
            .min(dims.batch);
        let steps = whole(WORKGROUP_FLOPS / step_flops)
            .min(whole(target.max_dispatch_flops / (sequences as u64 * step_flops)))
            .min((CHUNK_BYTES / (4 * dims.batch * row_floats.max(1))).max(1))
            .min(dims.seq_len);
        Self { dims, sequences, steps }
    }

    /// All dispatches, in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = Chunk> {
        let Self { dims, sequences, steps } = self;
        (0..dims.batch).step_by(sequences).flat_map(move |first_sequence| {
            (0..dims.seq_len).step_by(steps).map(move |first_step| Chunk {
                first_sequence,
                sequences: sequences.min(dims.batch - first_sequence),
                first_step,
                steps: steps.min(dims.seq_len - first_step),
            })
        })
    }
}

/// A matrix of `heads` rows for each of `units` units, as `products` of `recurrence.wgsl` reads it: vectors of four
/// inputs, `[inputs / 4, heads, units]`, zeros beyond the last input.
pub(crate) fn pack(
    [units, heads, inputs]: [usize; 3],
    weight: impl Fn(usize, usize, usize) -> f32,
) -> Vec<f32> {
    let mut packed = Vec::with_capacity(units * heads * inputs.next_multiple_of(4));
    for quad in 0..inputs.div_ceil(4) {
        for head in 0..heads {
            for unit in 0..units {
                packed.extend(
                    (4 * quad..4 * quad + 4)
                        .map(|input| if input < inputs { weight(unit, head, input) } else { 0.0 }),
                );
            }
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_13_every_step_is_in_one_short_dispatch() {
        let target = GpuTarget { max_dispatch_flops: 1 << 25, ..GpuTarget::WEBGPU_DEFAULTS };
        for (batch, seq_len, step_flops) in
            [(1, 1, 1), (3, 1000, 1 << 20), (70, 33, 1 << 24), (2, 5, 1 << 40)]
        {
            let dims = Dims { batch, seq_len, d_model: 4 };
            let chunks = Chunks::new(&target, dims, step_flops, 100);
            let mut seen = vec![0; batch * seq_len];
            for chunk in chunks.iter() {
                let flops = (chunk.sequences * chunk.steps) as u64 * step_flops;
                assert!(flops <= (1 << 25) || chunk.sequences * chunk.steps == 1, "{chunk:?}");
                for sequence in chunk.first_sequence..chunk.first_sequence + chunk.sequences {
                    for step in chunk.first_step..chunk.first_step + chunk.steps {
                        seen[sequence * seq_len + step] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|&times| times == 1));
        }
    }

    #[test]
    fn a_state_beyond_workgroup_memory_is_refused() {
        let target = GpuTarget::WEBGPU_DEFAULTS;
        assert_eq!(check_memory(MEMORY, &target), Ok(()));
        assert!(matches!(check_memory(MEMORY + 1, &target), Err(MixerError::NeedsLimit { .. })));
        // A device with more does not help: the shader's array is what it is.
        let large = GpuTarget { max_workgroup_storage_bytes: 1 << 20, ..target };
        assert!(check_memory(MEMORY + 1, &large).is_err());
    }

    #[test]
    fn matrices_are_packed_by_vectors_of_four_inputs() {
        let packed = pack([2, 1, 5], |unit, _, input| (10 * unit + input) as f32);
        assert_eq!(packed, [0., 1., 2., 3., 10., 11., 12., 13., 4., 0., 0., 0., 14., 0., 0., 0.]);
    }
}
