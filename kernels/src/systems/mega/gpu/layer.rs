//! The parts of a layer that treat every position alike: normalisation, projections and gates.

use mixer::{Access, Case, MixerError, Shader};

use super::super::spec::{self, EPS, LayerSpec};
use super::attention::Heads;
use crate::ops::gpu::{
    Activation, Builder, Columns, Combine, Gemm, Linear, Norm, Stream, grid, norm, vectors, word,
};

const BLEND: Shader = Shader {
    label: "blend",
    source: wgsl!("ops/gpu/line.wgsl", "systems/mega/blend.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::Read, Access::ReadWrite],
};

/// A layer without its average and attention, on the device.
pub struct Layer {
    pub spec: LayerSpec,
    value: Linear,
    to_u: Linear,
    to_z: Linear,
    to_r: Linear,
    to_hidden: Linear,
    out: Linear,
    /// κ₀ and μ₀.
    query: Affine,
    /// κ₁ and μ₁.
    key: Affine,
    norm: Norm,
}

/// A row that multiplies streams, and a row that is added to them.
#[derive(Clone, Copy)]
struct Affine {
    weight: Stream,
    bias: Stream,
}

impl Layer {
    pub fn upload(builder: &mut Builder, spec: &LayerSpec, case: &Case) -> Result<Self, MixerError> {
        let params = spec.params(&case.tensors)?;
        let (width, z, h) = (spec.width(), spec.attention.z, spec.attention.h);
        let columns = Columns::plain;
        let part = |builder: &mut Builder, first: usize, outputs: usize| {
            let weight = &params.joint.0[first * width..(first + outputs) * width];
            let bias = &params.joint.1[first..first + outputs];
            Linear::upload(builder, weight, Some(bias), columns(width), columns(outputs))
        };
        let (to_u, to_z) = (part(builder, 0, width), part(builder, width, z));
        let (to_r, to_hidden) = (part(builder, width + z, h), part(builder, width + z + h, width));
        let mut affine = |rows: std::ops::Range<usize>| Affine {
            weight: builder.upload("affine", &params.qk_weight[rows.clone()], columns(z)),
            bias: builder.upload("affine", &params.qk_bias[rows], columns(z)),
        };
        let (query, key) = (affine(0..z), affine(z..2 * z));
        let norm = match params.norm {
            spec::Norm::Scale(g) => Norm::Scale(g),
            spec::Norm::Layer(weight, bias) => Norm::upload(builder, weight, bias),
        };
        let value = (params.value.0, Some(params.value.1));
        let out = (params.out.0, Some(params.out.1));
        Ok(Self {
            spec: *spec,
            value: Linear::upload(builder, value.0, value.1, columns(width), columns(h)),
            to_u,
            to_z,
            to_r,
            to_hidden,
            out: Linear::upload(builder, out.0, out.1, columns(h), columns(width)),
            query,
            key,
            norm,
        })
    }

    /// The streams of `rows` rows.
    pub fn rows(&self, builder: &mut Builder, rows: usize) -> LayerRows {
        let (width, z, h) = (self.spec.width(), self.spec.attention.z, self.spec.attention.h);
        let columns = Columns::plain;
        let [u, hidden, candidate] =
            ["u", "hidden", "candidate"].map(|label| builder.stream(label, rows, columns(width)));
        let [shared, q, k] = ["z", "q", "k"].map(|label| builder.stream(label, rows, columns(z)));
        let [v, r, a] = ["v", "r", "a"].map(|label| builder.stream(label, rows, columns(h)));
        LayerRows { u, hidden, candidate, shared, r, heads: Heads { q, k, v, a } }
    }

    /// x̂ of x: the rows in `normalized`, or x itself where the layer normalises its output.
    pub fn input(&self, x: Stream, normalized: Stream) -> Stream {
        if self.spec.pre_norm { normalized } else { x }
    }

    /// Records x̂ of `rows` rows of x, where the layer normalises its input.
    pub fn normalize_input(&self, builder: &mut Builder, x: Stream, to: Stream, rows: usize) -> Stream {
        if self.spec.pre_norm { self.normalize(builder, x, to, rows) } else { x }
    }

    /// Records the normalisation of the output to `to`, where the layer has it.
    pub fn normalize_output(&self, builder: &mut Builder, y: Stream, to: Stream, rows: usize) -> Stream {
        if self.spec.pre_norm { y } else { self.normalize(builder, y, to, rows) }
    }

    fn normalize(&self, builder: &mut Builder, x: Stream, to: Stream, rows: usize) -> Stream {
        norm(builder, x, self.norm, EPS as f32, to, [rows, self.spec.width()]);
        to
    }

    /// Records keys and values of `n` rows of x̂ and e.
    pub fn keys(&self, builder: &mut Builder, n: usize, [x, e]: [Stream; 2], rows: &LayerRows) {
        let LayerRows { shared, heads, .. } = *rows;
        project(builder, n, &self.value, x, Activation::Silu, heads.v);
        project(builder, n, &self.to_z, e, Activation::Silu, shared);
        let Affine { weight, bias } = self.key;
        blend(builder, true, [shared, weight, bias, heads.k], [n, heads.k.stride]);
    }

    /// Records queries and gates of `n` rows of e, after their keys.
    pub fn queries(&self, builder: &mut Builder, n: usize, e: Stream, rows: &LayerRows) {
        let LayerRows { u, hidden, shared, r, heads, .. } = *rows;
        project(builder, n, &self.to_u, e, Activation::Sigmoid, u);
        project(builder, n, &self.to_r, e, Activation::Silu, r);
        project(builder, n, &self.to_hidden, e, Activation::None, hidden);
        let Affine { weight, bias } = self.query;
        blend(builder, true, [shared, weight, bias, heads.q], [n, heads.q.stride]);
    }

    /// Records the outputs y of `n` rows of x from their attention.
    pub fn finish(&self, builder: &mut Builder, n: usize, [x, y]: [Stream; 2], rows: &LayerRows) {
        let LayerRows { u, hidden, candidate, heads, .. } = *rows;
        let product = self.out.gemm(heads.a, n, candidate, 0);
        Gemm { combine: Some((Combine::Add, hidden.into())), ..product }.record(builder);
        blend(builder, false, [x, u, candidate, y], [n, y.stride]);
    }
}

/// Streams of some rows of a layer.
#[derive(Clone, Copy)]
pub struct LayerRows {
    u: Stream,
    hidden: Stream,
    candidate: Stream,
    /// z, of which q and k are made.
    shared: Stream,
    /// Gate of the attention.
    pub r: Stream,
    pub heads: Heads,
}

fn project(
    builder: &mut Builder,
    rows: usize,
    linear: &Linear,
    x: Stream,
    activation: Activation,
    y: Stream,
) {
    Gemm { activation, ..linear.gemm(x, rows, y, 0) }.record(builder);
}

/// [a, b, c, y] of blend.wgsl; where `affine`, b and c are single rows.
fn blend(builder: &mut Builder, affine: bool, streams: [Stream; 4], [rows, width]: [usize; 2]) {
    let items = rows * width / 4;
    let mut uniforms = vec![word(items), vectors(width)];
    for (index, stream) in streams.iter().enumerate() {
        let single = affine && (index == 1 || index == 2);
        uniforms.extend([vectors(stream.offset), if single { 0 } else { vectors(stream.stride) }]);
    }
    builder.dispatch(
        BLEND,
        &[("AFFINE", f64::from(u8::from(affine)))],
        &uniforms,
        &streams.map(|stream| stream.buffer),
        grid(items),
        4 * (rows * width) as u64,
    );
}
