//! GPU work of generated tokens of cases with heads: inputs and projections of the context and of a token.

use mixer::{Case, Level, MixerError};

use super::Spec;
use crate::ops::gpu::{Builder, Columns, Decoding, Input, Linear, Stream};

/// Weight and bias of a projection.
pub(crate) type Projection<'a> = (&'a [f32], Option<&'a [f32]>);

/// Where queries, keys and values come from.
#[derive(Clone, Copy)]
pub(crate) enum Given<'a> {
    /// From the case, `[batch, capacity]` rows each.
    Core([&'a [f32]; 3]),
    /// From projections of x, `[batch, capacity, width]`.
    Layer {
        /// The input.
        x: &'a [f32],
        /// Projections of query, key, value and output.
        projections: [Projection<'a>; 4],
    },
}

impl<'a> Given<'a> {
    /// The tensors of a case.
    pub(crate) fn of(spec: &Spec, case: &'a Case) -> Result<Self, MixerError> {
        let projection = |name: &str| spec.projection(&case.tensors, name);
        Ok(match spec.level {
            Level::Core => Self::Core(spec.streams(&case.tensors)?),
            Level::Layer => Self::Layer {
                x: spec.input(&case.tensors)?,
                projections: [
                    projection("query")?,
                    projection("key")?,
                    projection("value")?,
                    projection("out")?,
                ],
            },
        })
    }
}

/// Layouts of the streams.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    /// Layout of the layer's input and output.
    pub plain: Columns,
    /// Layout of the queries and of the core's output.
    pub heads: Columns,
    /// Layout of keys and values.
    pub kv_heads: Columns,
}

/// Projections of a layer.
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

/// Queries, keys and values of some rows, and outputs.
#[derive(Clone, Copy)]
pub(crate) struct DecodeRows {
    /// Number of rows.
    pub count: usize,
    x: Option<Stream>,
    pub q: Stream,
    pub k: Stream,
    pub v: Stream,
    /// The core's output.
    pub core: Stream,
    /// The layer's output.
    y: Option<Stream>,
}

impl DecodeRows {
    fn new(builder: &mut Builder, layout: Layout, count: usize, inputs: &[Stream]) -> Self {
        let core = builder.stream("core", count, layout.heads);
        if let &[q, k, v] = inputs {
            return Self { count, x: None, q, k, v, core, y: None };
        }
        let q = builder.stream("q", count, layout.heads);
        let [k, v] = ["k", "v"].map(|name| builder.stream(name, count, layout.kv_heads));
        let y = Some(builder.stream("output", count, layout.plain));
        Self { count, x: inputs.first().copied(), q, k, v, core, y }
    }
}

/// The context and a token of a case with heads.
pub(crate) struct DecodeStreams {
    layout: Layout,
    layer: Option<Layer>,
    pub inputs: Vec<Input>,
    /// Rows of the context, `[batch, context]`.
    pub prompt: DecodeRows,
    /// Rows of a token, `[batch]`.
    pub token: DecodeRows,
}

impl DecodeStreams {
    /// Uploads the inputs and projections.
    pub(crate) fn new(builder: &mut Builder, decoding: &Decoding, layout: Layout, given: Given<'_>) -> Self {
        let Layout { plain, heads, kv_heads } = layout;
        let (inputs, layer): (Vec<Input>, _) = match given {
            Given::Core(streams) => {
                let streams = [("q", heads), ("k", kv_heads), ("v", kv_heads)].into_iter().zip(streams);
                let inputs = streams
                    .map(|((name, columns), data)| decoding.input(builder, name, data, columns, true))
                    .collect();
                (inputs, None)
            }
            Given::Layer { x, projections: [query, key, value, out] } => {
                let x = decoding.input(builder, "x", x, plain, true);
                let mut upload = |(weight, bias): Projection<'_>, inputs, outputs| {
                    Linear::upload(builder, weight, bias, inputs, outputs)
                };
                let layer = Layer {
                    query: upload(query, plain, heads),
                    key: upload(key, plain, kv_heads),
                    value: upload(value, plain, kv_heads),
                    out: upload(out, heads, plain),
                };
                (vec![x], Some(layer))
            }
        };
        let lengths = decoding.clock.lengths;
        let mut rows = |count: usize, of: fn(&Input) -> Stream| {
            DecodeRows::new(builder, layout, count, &inputs.iter().map(of).collect::<Vec<Stream>>())
        };
        let prompt = rows(lengths.batch * lengths.context, |input| input.prompt);
        let token = rows(lengths.batch, |input| input.next);
        Self { layout, layer, inputs, prompt, token }
    }

    /// Records the projections of a layer; the projection to queries only if `with_query` is set.
    pub(crate) fn project(&self, builder: &mut Builder, rows: DecodeRows, with_query: bool) {
        if let (Some(layer), Some(x)) = (&self.layer, rows.x) {
            if with_query {
                layer.query.apply(builder, x, rows.count, rows.q, 0);
            }
            layer.key.apply(builder, x, rows.count, rows.k, 0);
            layer.value.apply(builder, x, rows.count, rows.v, 0);
        }
    }

    /// Records the output's projection of a layer. Returns the outputs.
    pub(crate) fn answer(&self, builder: &mut Builder, rows: DecodeRows) -> (Stream, Columns) {
        let (Some(layer), Some(y)) = (&self.layer, rows.y) else { return (rows.core, self.layout.heads) };
        layer.out.apply(builder, rows.core, rows.count, y, 0);
        (y, self.layout.plain)
    }
}
