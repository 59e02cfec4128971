//! GPU plans of cases with heads: uploaded streams and recorded projections.

use mixer::{Case, Level, MixerError, Plan};

use super::Spec;
use crate::ops::gpu::{Builder, Columns, Linear, Stream, unpack};

/// Query, key and value of a case, and the outputs of core and layer.
pub(crate) struct Streams {
    /// The input, at layer level.
    pub x: Option<Stream>,
    pub q: Stream,
    pub k: Stream,
    pub v: Stream,
    /// The core's output.
    pub core: Stream,
    /// Set at layer level.
    out: Option<(Linear, Stream)>,
    rows: usize,
    columns: Columns,
    width: usize,
}

impl Streams {
    /// Uploads the case; at layer level records the projections.
    pub(crate) fn new(builder: &mut Builder, spec: &Spec, case: &Case) -> Result<Self, MixerError> {
        let (width, rows) = (spec.dims.d_model, spec.dims.batch * spec.dims.seq_len);
        let columns = Columns::heads(spec.n_heads, spec.d_head());
        let kv_columns = Columns::heads(spec.kv_heads, spec.d_head());
        match spec.level {
            Level::Core => {
                let [q, k, v] = spec.streams(&case.tensors)?;
                Ok(Self {
                    x: None,
                    q: builder.upload("q", q, columns),
                    k: builder.upload("k", k, kv_columns),
                    v: builder.upload("v", v, kv_columns),
                    core: builder.stream("core", rows, columns),
                    out: None,
                    rows,
                    columns,
                    width,
                })
            }
            Level::Layer => {
                let x = builder.upload("x", spec.input(&case.tensors)?, Columns::plain(width));
                let projection = |name| spec.projection(&case.tensors, name);
                let (plain, [query, key, value]) =
                    (Columns::plain(width), [projection("query")?, projection("key")?, projection("value")?]);
                let [q, k, v] = if columns == kv_columns {
                    project(builder, x, rows, plain, columns, &[query, key, value])
                } else {
                    let [q] = project(builder, x, rows, plain, columns, &[query]);
                    let [k, v] = project(builder, x, rows, plain, kv_columns, &[key, value]);
                    [q, k, v]
                };
                let (weight, bias) = projection("out")?;
                let out = Linear::upload(builder, weight, bias, columns, Columns::plain(width));
                let core = builder.stream("core", rows, columns);
                let y = builder.stream("y", rows, Columns::plain(width));
                Ok(Self { x: Some(x), q, k, v, core, out: Some((out, y)), rows, columns, width })
            }
        }
    }

    /// Records the output projection and returns the finished plan.
    pub(crate) fn finish(self, mut builder: Builder) -> Result<Plan, MixerError> {
        let (result, columns) = match self.out {
            None => (self.core, self.columns),
            Some((out, y)) => {
                out.apply(&mut builder, self.core, self.rows, y, 0);
                (y, Columns::plain(self.width))
            }
        };
        let output = unpack(&mut builder, result, self.rows, columns);
        builder.finish(output)
    }
}

/// Several projections of `x`: one product into one buffer where that fits a binding, otherwise one each.
pub(crate) fn project<const N: usize>(
    builder: &mut Builder,
    x: Stream,
    rows: usize,
    inputs: Columns,
    outputs: Columns,
    layers: &[(&[f32], Option<&[f32]>); N],
) -> [Stream; N] {
    let plane = rows * outputs.stride();
    if builder.fits(N * plane) {
        let linear = Linear::upload_stacked(builder, layers, inputs, outputs);
        let first = builder.stream("projected", N * rows, outputs);
        linear.apply(builder, x, rows, first, plane);
        return std::array::from_fn(|i| first.down(i * rows));
    }
    layers.map(|(weight, bias)| {
        let linear = Linear::upload(builder, weight, bias, inputs, outputs);
        let y = builder.stream("projected", rows, outputs);
        linear.apply(builder, x, rows, y, 0);
        y
    })
}
