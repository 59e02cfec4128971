//! The GPU plan: scores of one sequence in memory, softmax over their rows, the product with V. Steps have the names
//! and the order of those in `cpu.rs`.

use mixer::{Case, GpuTarget, MixerError, Plan};

use crate::multi_head::{GpuStreams, Spec};
use crate::ops::gpu::{Batches, Builder, Columns, Gemm, Operand, Stream, softmax_rows};

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read_grouped(case)?;
    let (length, n_heads, d_head) = (spec.dims.seq_len, spec.n_heads, spec.d_head());
    let mut builder = Builder::new(target);
    let stride = length.next_multiple_of(4);
    // Check memory first: on a 32-bit host the product below would overflow.
    let needed_bytes = 4 * n_heads as u64 * length as u64 * stride as u64;
    if needed_bytes > builder.max_binding_bytes() {
        let limit_bytes = builder.max_binding_bytes();
        return Err(MixerError::NeedsBuffer { label: "scores".to_owned(), needed_bytes, limit_bytes });
    }
    let streams = GpuStreams::new(&mut builder, &spec, case)?;
    let scores = builder.stream("scores", n_heads * length, Columns::plain(length));
    let head = Columns::heads(n_heads, d_head).run();
    let group = n_heads / spec.kv_heads;
    // A group of heads after another; the heads of a group share their keys and values.
    let by_head = |stream: Stream| Operand { stream, outer: group * head, inner: head };
    let by_group = |stream: Stream| Operand { stream, outer: head, inner: 0 };
    let scores_by_head = Operand { stream: scores, outer: group * length * stride, inner: length * stride };
    let batches = Batches { outer: spec.kv_heads, inner: group };
    for sequence in 0..spec.dims.batch {
        let [q, core] = [streams.q, streams.core].map(|s| by_head(s.down(sequence * length)));
        let [k, v] = [streams.k, streams.v].map(|s| by_group(s.down(sequence * length)));
        Gemm { batches, transpose_b: true, ..Gemm::new(q, k, scores_by_head, [length, length, d_head]) }
            .record(&mut builder);
        softmax_rows(
            &mut builder,
            scores,
            n_heads,
            [length, length],
            1.0 / (d_head as f32).sqrt(),
            spec.causal,
        );
        Gemm { batches, ..Gemm::new(scores_by_head, v, core, [length, d_head, length]) }.record(&mut builder);
    }
    streams.finish(builder)
}
