//! Decoding without a cache: every call computes the forward pass over all tokens again, as programs did before they kept keys
//! and values. The state is the inputs of all tokens.

use std::sync::Arc;

use mixer::{
    Case, Count, DecodeMemory, Floats, Level, MixerError, Parallel, PreparedDecoder, TokenInput, Tokens,
};

use super::cpu::{Core, packed_floats};
use crate::decoding::{Decoder, Decoding};
use crate::multi_head::{Projections, Spec, token_inputs};

pub(super) fn inputs(case: &Case) -> Result<Vec<TokenInput>, MixerError> {
    token_inputs(&Spec::read_grouped(case)?, super::INFO.id)
}

struct Naive {
    /// Of one sequence with the capacity's length.
    spec: Spec,
    capacity: usize,
    /// The inputs of all tokens, `[batch, capacity, width]` each.
    inputs: Vec<Input>,
    /// At layer level; buffers for one sequence.
    projections: Option<Projections>,
    /// `[n_heads, capacity, capacity]`.
    scores: Floats,
    packed: Floats,
    /// The output of one sequence, `[capacity, width]`.
    output: Floats,
}

struct Input {
    width: usize,
    tokens: Floats,
}

pub(super) fn decoder(case: &Arc<Case>, memory: &DecodeMemory) -> PreparedDecoder {
    let mut spec = Spec::read_grouped(case)?;
    let (batch, capacity) = (spec.dims.batch, spec.dims.seq_len);
    spec.dims.batch = 1;
    let [positions, heads, rows] = Count::all([capacity, spec.n_heads, batch]);
    // The scores first: they hit the memory limit first.
    let scores = memory.work.floats(heads * positions * positions)?;
    let input = |input: TokenInput| {
        let tokens = memory.state.floats(rows * positions * Count::from(input.width))?;
        Ok(Input { width: input.width, tokens })
    };
    let naive = Naive {
        capacity,
        inputs: inputs(case)?.into_iter().map(input).collect::<Result<_, MixerError>>()?,
        projections: match spec.level {
            Level::Core => None,
            Level::Layer => Some(Projections::new(&spec, case, &memory.work)?),
        },
        scores,
        packed: memory.work.floats(packed_floats(capacity, spec.kv_heads, spec.d_head()))?,
        output: memory.work.floats(spec.dims.sizes().stream())?,
        spec,
    };
    Ok(Box::new(Decoding::new(capacity, naive)))
}

impl Decoder for Naive {
    fn advance(
        &mut self,
        position: usize,
        tokens: Tokens<'_>,
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        for (input, new) in self.inputs.iter_mut().zip(tokens.inputs) {
            let Input { width, tokens: all } = input;
            let sequences = all.chunks_exact_mut(self.capacity * *width);
            for (all, new) in sequences.zip(new.chunks(tokens.count.max(1) * *width)) {
                all[position * *width..][..new.len()].copy_from_slice(new);
            }
        }
        let Some(output) = output else { return Ok(()) };
        let width = self.spec.dims.d_model;
        for (sequence, answers) in output.chunks_mut(tokens.count.max(1) * width).enumerate() {
            let all = self.pass(sequence, position + tokens.count, parallel);
            answers.copy_from_slice(&all[position * width..]);
        }
        Ok(())
    }
}

impl Naive {
    /// The outputs of the first `length` tokens of a sequence, `[length, width]`.
    fn pass(&mut self, sequence: usize, length: usize, parallel: &dyn Parallel) -> &[f32] {
        let Self { spec, capacity, inputs, projections, scores, packed, output } = self;
        let input = |index: usize| {
            let Input { width, tokens } = &inputs[index];
            &tokens[sequence * *capacity * width..][..length * width]
        };
        let output = &mut output[..length * spec.dims.d_model];
        let mut core = Core { spec, length, scores, packed };
        match projections {
            None => core.run(input(0), input(1), input(2), output, parallel),
            Some(Projections { query, key, value, out, q, k, v }) => {
                let (x, kv) = (input(0), length * spec.kv_width());
                let (q, k, v) = (&mut q[..output.len()], &mut k[..kv], &mut v[..kv]);
                query.apply(x, q, parallel);
                key.apply(x, k, parallel);
                value.apply(x, v, parallel);
                core.run(q, k, v, output, parallel);
                q.copy_from_slice(output);
                out.apply(q, output, parallel);
            }
        }
        output
    }
}
