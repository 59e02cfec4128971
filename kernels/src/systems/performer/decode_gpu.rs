//! Decoding on the GPU: the sums of the context by the chunks of the forward pass; a step adds one key to them and reads the
//! query's product in one pass over S.

use mixer::{Access, Case, DecodePlan, Generate, GpuTarget, Level, MixerError, Shader};

use super::Spec;
use super::gpu::{Mixer, Sums};
use crate::multi_head::{DecodeRows, DecodeStreams, Given, Layout};
use crate::ops::gpu::{Builder, Columns, Decoding, INVOCATION_TURNS, Lengths, unpack, vectors, word};

const READ: Access = Access::Read;
const WRITE: Access = Access::ReadWrite;

const TOKEN_FEATURES: Shader = Shader {
    label: "token_features",
    source: wgsl!("systems/performer/token_features.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE, WRITE, WRITE],
};

const TOKEN_SUMS: Shader = Shader {
    label: "token_sums",
    source: wgsl!("systems/performer/token_sums.wgsl"),
    entry: "main",
    bindings: &[READ, READ, WRITE, WRITE],
};

/// Invocations of a workgroup of the token's features.
const THREADS: usize = 256;

/// Vectors of four columns in a workgroup of the token's sums.
const COLUMNS: usize = 4;

pub(super) fn plan(
    case: &Case,
    Generate { context, fed }: Generate,
    target: &GpuTarget,
) -> Result<DecodePlan, MixerError> {
    let mut spec = Spec::read(case)?;
    let tensors = &case.tensors;
    let turns = spec.n_features.div_ceil(THREADS) * spec.d_head;
    if turns > INVOCATION_TURNS {
        let (needed, available) = (turns as u64, INVOCATION_TURNS as u64);
        let limit = "nb_features / 256 · head dimension".to_owned();
        return Err(MixerError::NeedsLimit { limit, needed, available });
    }
    let batch = spec.dims.batch;
    let lengths = Lengths::new(batch, context, spec.dims.seq_len)?;
    let heads = Columns::heads(spec.n_heads, spec.d_head);
    let mut builder = Builder::new(target);
    let (width, given) = match spec.level {
        Level::Core => (spec.inner(), Given::Core(spec.streams(tensors)?)),
        Level::Layer => {
            let linear = |name: &str| spec.linear(tensors, name);
            let projections = [linear("query")?, linear("key")?, linear("value")?, linear("out")?];
            (spec.dims.d_model, Given::Layer { x: spec.input(tensors)?, projections })
        }
    };
    let mut decoding = Decoding::new(&mut builder, lengths, width, fed);
    let layout = Layout { plain: Columns::plain(spec.dims.d_model), heads, kv_heads: heads };
    let streams = DecodeStreams::new(&mut builder, &decoding, layout, given);
    let (prompt, token) = (streams.prompt, streams.token);
    let projection = spec.projection(tensors)?;
    // From here on the spec is that of the context.
    spec.dims.seq_len = context;
    let [kept, state] = [(); 2].map(|()| Sums::new(&mut builder, &spec));
    let rows = [prompt.q, prompt.k, prompt.v, prompt.core];
    let mixer = Mixer::new(&mut builder, &spec, projection, rows, Some(kept));
    let restore = |builder: &mut Builder| kept.copy_to(builder, &state, batch);

    decoding.fill(&mut builder, |builder| {
        streams.project(builder, prompt, false);
        mixer.record(builder, false);
        restore(builder);
    });
    decoding.prefill(&mut builder, |builder| {
        streams.project(builder, prompt, true);
        mixer.record(builder, true);
        restore(builder);
        let (y, columns) = streams.answer(builder, prompt);
        unpack(builder, y, prompt.count, columns)
    });
    decoding.rewind(&mut builder, restore);
    decoding.step(&mut builder, &streams.inputs, |builder| {
        streams.project(builder, token, true);
        absorb(builder, &spec, &mixer, &state, token);
        Ok(streams.answer(builder, token))
    })?;
    decoding.finish(builder, &[state.products.buffer, state.totals.buffer, state.maxima.buffer])
}

/// Records the step of all heads.
fn absorb(builder: &mut Builder, spec: &Spec, mixer: &Mixer, state: &Sums, token: DecodeRows) {
    let (batch, heads, d_head, m) = (spec.dims.batch, spec.n_heads, spec.d_head, spec.n_features);
    let (run, head) = (mixer.feature_run(), mixer.head_run());
    let features = builder.scratch("token features", batch * heads * (2 * run + 4));
    let all = batch * heads * m;
    builder.dispatch(
        TOKEN_FEATURES,
        &[],
        &[
            word(heads),
            word(d_head),
            word(head),
            word(m),
            word(run),
            word(token.q.offset),
            word(token.q.stride),
            word(token.k.offset),
            word(token.k.stride),
            word(mixer.projection.stride),
            (spec.norm_scale() as f32).to_bits(),
            (spec.kernel_eps as f32).to_bits(),
            (spec.unscaled_eta() as f32).to_bits(),
        ],
        &[
            token.q.buffer,
            token.k.buffer,
            mixer.projection.buffer,
            state.maxima.buffer,
            state.totals.buffer,
            features,
        ],
        [heads, batch, 1],
        (4 * all * d_head) as u64,
    );
    builder.dispatch(
        TOKEN_SUMS,
        &[],
        &[
            word(heads),
            vectors(head),
            word(m),
            word(run),
            vectors(token.v.offset),
            vectors(token.v.stride),
            vectors(token.core.offset),
            vectors(token.core.stride),
        ],
        &[features, token.v.buffer, state.products.buffer, token.core.buffer],
        [head.div_ceil(4 * COLUMNS), heads, batch],
        (5 * all * d_head) as u64,
    );
}
