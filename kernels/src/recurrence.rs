//! Shared parts of the GPU plans of recurrences. One workgroup steps through one sequence with its state in workgroup
//! memory. Between dispatches the state is stored in a buffer, so that a long sequence becomes many short dispatches.

use mixer::{GpuTarget, MixerError};

use crate::dims::Dims;
use crate::ops::gpu::{Batches, Builder, Gemm, INVOCATION_TURNS, Linear, Operand, SOFTWARE_TURNS, Stream};

/// Invocations per workgroup.
const THREADS: usize = 256;

/// Floats of `memory` in `recurrence.wgsl`.
const MEMORY: usize = 3072;

/// Most operations of one workgroup in a dispatch: some tens of milliseconds on a weak device, one of whose many cores
/// reaches a few GFLOP/s.
const WORKGROUP_FLOPS: u64 = 1 << 26;

/// Most loop iterations of a single step on a software adapter. The outer loops take some dozens.
const STEP_TURNS: u64 = SOFTWARE_TURNS as u64 - 1000;

/// Most bytes of the values that earlier dispatches compute for the steps of a dispatch.
const CHUNK_BYTES: usize = 32 << 20;

/// Refuses a state, or intermediate values of layers, that exceed workgroup memory.
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

/// Division of a workgroup among `units` units with sums of `terms` terms: units processed at once, and threads that
/// share each of them. At most one thread per term, since the partial sums are added one by one.
pub(crate) fn width_and_parts(units: usize, terms: usize) -> [usize; 2] {
    let width = units.next_power_of_two().min(THREADS);
    [width, terms.clamp(1, THREADS / width)]
}

/// Loop iterations of an invocation for a layer of `units` units with sums of `terms` terms, as the shaders divide
/// them.
pub(crate) fn layer_turns(units: usize, terms: usize) -> u64 {
    let [width, parts] = width_and_parts(units, terms);
    let joining = if parts > 1 { parts } else { 0 };
    let groups = units.div_ceil(width);
    // For each group: its sums, their joining and the group's own iteration; then the stores of each thread.
    (groups * (terms.div_ceil(parts) + joining + 1) + groups) as u64
}

/// Cost of one step of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Operations of the workgroup.
    pub flops: u64,
    /// Loop iterations of an invocation.
    pub turns: u64,
    /// Floats computed by an earlier dispatch.
    pub row_floats: usize,
}

/// Division of time and sequences into dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunks {
    dims: Dims,
    /// Sequences per dispatch.
    pub sequences: usize,
    /// Steps per dispatch.
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

/// Rows `first..` of each sequence in a stream of `room` rows per sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    pub stream: Stream,
    pub room: usize,
    pub first: usize,
}

impl Chunk {
    /// Records a linear layer of the chunk's rows.
    pub(crate) fn linear(self, builder: &mut Builder, linear: &Linear, x: Rows, y: Rows) {
        let Self { first_sequence, sequences, steps, .. } = self;
        let start = |rows: Rows| rows.stream.down(first_sequence * rows.room + rows.first);
        if x.room == steps && y.room == steps {
            // The sequences are contiguous: one product reads the weights once.
            linear.apply(builder, start(x), sequences * steps, start(y), 0);
            return;
        }
        let each =
            |rows: Rows| Operand { stream: start(rows), outer: rows.room * rows.stream.stride, inner: 0 };
        let batches = Batches { outer: sequences, inner: 1 };
        let product = linear.gemm(x.stream, steps, y.stream, 0);
        Gemm { a: each(x), y: each(y), batches, ..product }.record(builder);
    }
}

impl Chunks {
    /// Dispatches that are short enough for `target`.
    ///
    /// # Errors
    /// [`MixerError::NeedsLimit`] where a single step exceeds a software adapter's limit of loop iterations.
    pub(crate) fn new(target: &GpuTarget, dims: Dims, step: Step) -> Result<Self, MixerError> {
        if target.is_fallback && step.turns > STEP_TURNS {
            return Err(MixerError::NeedsLimit {
                limit: "loop turns of an invocation".to_owned(),
                needed: step.turns,
                available: STEP_TURNS,
            });
        }
        let whole = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
        let (step_flops, row_floats) = (step.flops.max(1), step.row_floats);
        let sequences = whole(target.max_dispatch_flops / step_flops)
            .min(target.max_workgroups_per_dimension as usize)
            .min(dims.batch);
        let steps = whole(WORKGROUP_FLOPS / step_flops)
            .min(whole(target.max_dispatch_flops / (sequences as u64 * step_flops)))
            .min(whole(INVOCATION_TURNS as u64 / step.turns.max(1)))
            .min((CHUNK_BYTES / (4 * dims.batch * row_floats.max(1))).max(1))
            .min(dims.seq_len);
        Ok(Self { dims, sequences, steps })
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

/// A matrix of `heads` rows for each of `units` units in the layout of `products` in `recurrence.wgsl`: vectors of four
/// inputs, `[inputs / 4, heads, units]`, zero-padded.
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
            let step = Step { flops: step_flops, turns: 1, row_floats: 100 };
            let chunks = Chunks::new(&target, dims, step).unwrap();
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
    fn no_invocation_makes_more_turns_than_a_software_adapter_counts() {
        let dims = Dims { batch: 1, seq_len: 1 << 20, d_model: 4 };
        // With few units a step is short, and operations do not limit a dispatch.
        for (units, terms) in [(1, 1), (8, 8), (64, 64), (300, 300)] {
            let turns = 6 * layer_turns(units, terms);
            let step = Step { flops: (10 * units * terms) as u64, turns, row_floats: 2 * units };
            let chunks = Chunks::new(&GpuTarget::WEBGPU_DEFAULTS, dims, step).unwrap();
            assert!(chunks.steps as u64 * turns <= INVOCATION_TURNS as u64, "{chunks:?}");
            assert!(chunks.steps > 1, "{chunks:?}");
        }
        assert_eq!(layer_turns(64, 64), 16 + 4 + 1 + 1);
        assert_eq!(layer_turns(4, 4), 1 + 4 + 1 + 1);
        assert_eq!(layer_turns(300, 300), 2 * 301 + 2);
    }

    #[test]
    fn a_state_beyond_workgroup_memory_is_refused() {
        let target = GpuTarget::WEBGPU_DEFAULTS;
        assert_eq!(check_memory(MEMORY, &target), Ok(()));
        assert!(matches!(check_memory(MEMORY + 1, &target), Err(MixerError::NeedsLimit { .. })));
        // A device with more memory does not help, since the shader's array has a fixed size.
        let large = GpuTarget { max_workgroup_storage_bytes: 1 << 20, ..target };
        assert!(check_memory(MEMORY + 1, &large).is_err());
    }

    #[test]
    fn matrices_are_packed_by_vectors_of_four_inputs() {
        let packed = pack([2, 1, 5], |unit, _, input| (10 * unit + input) as f32);
        assert_eq!(packed, [0., 1., 2., 3., 10., 11., 12., 13., 4., 0., 0., 0., 14., 0., 0., 0.]);
    }
}
