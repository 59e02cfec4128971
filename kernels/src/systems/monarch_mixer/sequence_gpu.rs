//! The sequence mixer on the GPU: projections, short convolutions fused with the gate, long convolutions by FFT. A decoder
//! processes its context by the same steps, and takes the inputs of all convolutions from them.

use mixer::{Case, Count, MixerError, Serial, zeros};

use super::filter::{Direction, Filters};
use super::gpu::{Laid, Mlp, in_columns};
use super::{NORM_EPS, SequenceSpec, TAPS};
use crate::ops::gpu::{
    Activation, Builder, CacheConv, Columns, Combine, Filter, Linear, LongConv, Norm, ShortFilters, Stream,
    map, norm, short_conv,
};
use crate::ops::long_conv::{circular_lag, fft_size};

/// Streams: two gates, then the values. The values times the first gate are convolved.
pub(super) const STREAMS: usize = 3;
pub(super) const PRODUCT: [usize; 2] = [2, 0];
pub(super) const GATE: usize = 1;

pub(super) fn sequence(
    builder: &mut Builder,
    spec: &SequenceSpec,
    case: &Case,
) -> Result<Stream, MixerError> {
    let taps = (0..spec.convolutions()).map(|convolution| taps(builder, spec, case, convolution));
    let taps = taps.collect::<Result<Vec<_>, _>>()?;
    let operator = Operator::new(builder, spec, &taps, spec.dims.seq_len)?;
    if spec.layer.is_some() {
        let x = builder.upload("x", spec.input(&case.tensors)?, operator.columns);
        let layer = Layer::new(builder, spec, case)?;
        return Ok(operator.layer(builder, &layer, x, None, true));
    }
    let x =
        builder.upload("streams", spec.streams(&case.tensors)?, Columns::heads(STREAMS, spec.dims.d_model));
    let u = match spec.core_input(&case.tensors)? {
        Some(u) => Some(builder.upload("u", u, operator.columns)),
        None => None,
    };
    Ok(operator.core(builder, x, u, None, true))
}

/// Positions of the circle of a convolution.
fn circle(length: usize) -> usize {
    fft_size(length).max(8)
}

/// Taps of a convolution: all positions of the circle, or in the causal form those of the sequence.
fn n_taps(spec: &SequenceSpec) -> usize {
    if spec.bidirectional { circle(spec.dims.seq_len) } else { spec.dims.seq_len }
}

/// Taps of one convolution by lag, `[n_taps]` rows. The skip is added to the first tap.
pub(super) fn taps(
    builder: &mut Builder,
    spec: &SequenceSpec,
    case: &Case,
    convolution: usize,
) -> Result<Stream, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let (size, n_taps) = (circle(length), n_taps(spec));
    let stride = Columns::plain(width).stride();
    if !builder.fits(n_taps.saturating_mul(stride)) {
        return Err(MixerError::NeedsBuffer {
            label: "filter".to_owned(),
            needed_bytes: (4 * Count::from(n_taps) * Count::from(stride)).get(),
            limit_bytes: builder.max_binding_bytes(),
        });
    }
    let mut taps: Vec<f32> = zeros(Count::from(n_taps) * Count::from(stride))?;
    let mut fill = |skip: &[f32], tap: &dyn Fn(usize, Result<usize, usize>) -> f32| {
        for (position, row) in taps.chunks_exact_mut(stride).enumerate() {
            let Some(lag) = circular_lag(position, size, length) else { continue };
            for channel in 0..width {
                row[channel] = tap(channel, lag) + if lag == Ok(0) { skip[channel] } else { 0.0 };
            }
        }
    };
    if let Some(layer) = &spec.layer {
        let set = spec.filter_sets()[convolution];
        let filters = Filters::new(&layer.filter, &case.tensors, set, spec.bidirectional)?;
        let values = Count::from(length) * Count::from(width);
        let mut forward = zeros(values)?;
        let mut reverse = zeros(if spec.bidirectional { values } else { Count::ZERO })?;
        filters.evaluate(Direction::Forward, &mut forward, &Serial);
        filters.evaluate(Direction::Reverse, &mut reverse, &Serial);
        fill(filters.skip, &|channel, lag| match lag {
            Ok(s) => forward[s * width + channel],
            Err(s) => reverse[(s - 1) * width + channel],
        });
    } else {
        let filters = spec.core_filters(&case.tensors, convolution)?;
        fill(filters.skip, &|channel, lag| match (lag, filters.reverse) {
            (Ok(s), _) => filters.forward[channel * length + s],
            (Err(s), Some(reverse)) => reverse[channel * length + s - 1],
            (Err(_), None) => 0.0,
        });
    }
    Ok(builder.upload_padded("filter", taps, stride))
}

/// Weights of a layer.
pub(super) struct Layer {
    norm: Option<Norm>,
    in_linear: Vec<Linear>,
    pub short: ShortFilters,
    out_linear: Linear,
    mlp: Option<Mlp>,
    /// Layout of the output's projection: that of the first matrix of the MLP, which follows. Its padding stays zero.
    mixed: Columns,
    plain: Columns,
}

impl Layer {
    pub(super) fn new(builder: &mut Builder, spec: &SequenceSpec, case: &Case) -> Result<Self, MixerError> {
        let (width, tensors) = (spec.dims.d_model, &case.tensors);
        let plain = Columns::plain(width);
        let norm = spec.norm(tensors)?.map(|(weight, bias)| Norm::upload(builder, weight, bias));
        let (weight, bias) = spec.projection(tensors, "in_linear")?;
        let parts = weight.chunks_exact(width * width).zip(bias.chunks_exact(width));
        let in_linear =
            parts.map(|(weight, bias)| Linear::upload(builder, weight, Some(bias), plain, plain)).collect();
        let (taps, tap_bias) = spec.short_filter(tensors)?;
        let short = ShortFilters::upload(builder, taps, Some(tap_bias), TAPS, plain);
        let mixed = spec.mlp.map_or(plain, |mlp| in_columns(mlp.up()));
        let (weight, bias) = spec.projection(tensors, "out_linear")?;
        let out_linear = Linear::upload(builder, weight, Some(bias), plain, mixed);
        let mlp = match &spec.mlp {
            Some(mlp) => Some(Mlp::new(builder, *mlp, &mlp.params(tensors, "param.mlp")?)),
            None => None,
        };
        Ok(Self { norm, in_linear, short, out_linear, mlp, mixed, plain })
    }

    /// The normalised input, in a buffer of its own where there is a normalisation.
    pub(super) fn normalize(&self, builder: &mut Builder, x: Stream, rows: usize) -> Stream {
        let Some(layer_norm) = self.norm else { return x };
        let normalized = builder.stream("normalized", rows, self.plain);
        norm(builder, x, layer_norm, NORM_EPS as f32, normalized, [rows, self.plain.width]);
        normalized
    }

    /// Stream `index` before its short convolution.
    fn project(&self, builder: &mut Builder, index: usize, u: Stream, rows: usize, y: Stream) {
        self.in_linear[index].apply(builder, u, rows, y, 0);
    }

    /// All streams before their short convolutions: `[streams, rows]`.
    pub(super) fn project_all(&self, builder: &mut Builder, u: Stream, rows: usize, to: Stream) {
        for index in 0..STREAMS {
            self.project(builder, index, u, rows, to.down(index * rows));
        }
    }

    /// The layer's output from the core's output.
    pub(super) fn finish(&self, builder: &mut Builder, core: Stream, rows: usize) -> Stream {
        let mixed = Laid::new(builder, "mixed", rows, self.mixed);
        self.out_linear.apply(builder, core, rows, mixed.stream, 0);
        let Some(mlp) = &self.mlp else { return mixed.stream };
        let y = mlp.apply(builder, mixed, rows);
        Stream { buffer: y, offset: 0, stride: self.plain.width }
    }
}

/// Convolutions and gates of some rows.
pub(super) struct Operator {
    /// Sequences, their rows, and the width.
    sizes: [usize; 3],
    columns: Columns,
    conv: LongConv,
    filters: Vec<Filter>,
    /// Buffers of rows, in turn.
    buffers: [Stream; 3],
}

impl Operator {
    /// For `length` rows of each sequence.
    pub(super) fn new(
        builder: &mut Builder,
        spec: &SequenceSpec,
        taps: &[Stream],
        length: usize,
    ) -> Result<Self, MixerError> {
        let (batch, columns) = (spec.dims.batch, Columns::plain(spec.dims.d_model));
        let sizes = [batch, length, spec.dims.d_model];
        let conv = LongConv::new(builder, sizes, circle(length))?;
        let n_taps = if spec.bidirectional { n_taps(spec) } else { length };
        let filters = taps.iter().map(|&taps| conv.filter(builder, taps, n_taps)).collect();
        let buffers = ["a", "b", "c"].map(|label| builder.stream(label, batch * length, columns));
        Ok(Self { sizes, columns, conv, filters, buffers })
    }

    fn rows(&self) -> usize {
        self.sizes[0] * self.sizes[1]
    }

    /// y = a combined with b.
    fn combine(&self, builder: &mut Builder, a: Stream, (how, b): (Combine, Stream), y: Stream) {
        let sizes = [self.rows(), self.columns.stride()];
        map(builder, a, 1.0, Activation::None, Some((how, b)), y, sizes);
    }

    /// The core of three streams side by side in `x`, and of the residual input `u`. `kept` takes the inputs of the
    /// convolutions. Without `answers`, the convolutions are left out and the result is not the core's output.
    pub(super) fn core(
        &self,
        builder: &mut Builder,
        x: Stream,
        u: Option<Stream>,
        kept: Option<&CacheConv>,
        answers: bool,
    ) -> Stream {
        let [a, b, c] = self.buffers;
        let part = |index: usize| x.right(index * self.columns.run());
        let [value, first] = PRODUCT.map(part);
        let gate = Some(part(GATE));
        if let Some(kept) = kept {
            self.combine(builder, value, (Combine::Multiply, first), c);
            kept.keep_inputs(builder, 0, c);
            if let Some(u) = u {
                kept.keep_inputs(builder, 1, u);
            }
            if !answers {
                return c;
            }
            self.conv.apply(builder, &self.filters[0], (c, None), (a, gate));
        } else {
            self.conv.apply(builder, &self.filters[0], (value, Some(first)), (a, gate));
        }
        self.add_residual(builder, u, a, [b, c])
    }

    /// The sum of `core` and the convolution of the residual input, in the second free buffer.
    fn add_residual(
        &self,
        builder: &mut Builder,
        u: Option<Stream>,
        core: Stream,
        [residual, sum]: [Stream; 2],
    ) -> Stream {
        let (Some(u), Some(filter)) = (u, self.filters.get(1)) else { return core };
        self.conv.apply(builder, filter, (u, None), (residual, None));
        self.combine(builder, core, (Combine::Add, residual), sum);
        sum
    }

    /// The output of a whole layer for x; `kept` and `answers` as in [`Operator::core`].
    pub(super) fn layer(
        &self,
        builder: &mut Builder,
        layer: &Layer,
        x: Stream,
        kept: Option<&CacheConv>,
        answers: bool,
    ) -> Stream {
        let rows = self.rows();
        let u = layer.normalize(builder, x, rows);
        let project = |builder: &mut Builder, index: usize, y: Stream| {
            layer.project(builder, index, u, rows, y);
            if let Some(kept) = kept {
                kept.keep_stream(builder, index, y);
            }
            (y, layer.short.of(index))
        };
        let [a, b, c] = self.buffers;
        let value = project(builder, PRODUCT[0], a);
        let first = project(builder, PRODUCT[1], b);
        short_conv(builder, self.sizes, value, Activation::None, Some(first), c);
        let gate = project(builder, GATE, a);
        let residual = (self.filters.len() > 1).then_some(u);
        if let Some(kept) = kept {
            kept.keep_inputs(builder, 0, c);
            if let Some(u) = residual {
                kept.keep_inputs(builder, 1, u);
            }
            if !answers {
                return c;
            }
        }
        short_conv(builder, self.sizes, gate, Activation::None, None, b);
        self.conv.apply(builder, &self.filters[0], (c, None), (a, Some(b)));
        let core = self.add_residual(builder, residual, a, [b, c]);
        layer.finish(builder, core, rows)
    }
}
