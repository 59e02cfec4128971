//! Causal depthwise convolution with few taps.

use mixer::{Access, Shader};

use super::builder::Builder;
use super::elementwise::{Activation, line_of_groups};
use super::stream::{Columns, Stream, vectors, word};

const SHADER: Shader = Shader {
    label: "short_conv",
    source: wgsl!(
        "ops/gpu/erf.wgsl",
        "ops/gpu/activation.wgsl",
        "ops/gpu/line.wgsl",
        "ops/gpu/short_conv.wgsl"
    ),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::ReadWrite],
};

/// Invocations in a workgroup, and time steps per invocation.
const THREADS: usize = 64;
const RUN: usize = 8;

/// Taps on the device: `[taps + 1, channels]`, where the last tap multiplies the current input, followed by the bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortFilter {
    stream: Stream,
    taps: usize,
}

impl ShortFilter {
    /// Uploads `weight`, `[channels, taps]` as PyTorch's depthwise `Conv1d` stores it, and `bias`, `[channels]`.
    pub fn upload(
        builder: &mut Builder,
        weight: &[f32],
        bias: Option<&[f32]>,
        taps: usize,
        columns: Columns,
    ) -> Self {
        ShortFilters::upload(builder, weight, bias, taps, columns).of(0)
    }
}

/// The taps of several streams of equal width, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortFilters {
    /// `[streams, taps + 1]` rows.
    pub(super) stream: Stream,
    pub(super) taps: usize,
}

impl ShortFilters {
    /// Uploads `weight`, `[streams · channels, taps]`, and `bias`, `[streams · channels]`. A stream has `columns`.
    pub fn upload(
        builder: &mut Builder,
        weight: &[f32],
        bias: Option<&[f32]>,
        taps: usize,
        columns: Columns,
    ) -> Self {
        let (stride, channels) = (columns.stride(), columns.len().max(1));
        let rows = weight.len() / taps.max(1);
        let mut packed = vec![0.0; rows.div_ceil(channels) * (taps + 1) * stride];
        let place = |row: usize| row / channels * (taps + 1) * stride + columns.position(row % channels);
        for (row, values) in weight.chunks_exact(taps.max(1)).enumerate() {
            for (tap, &value) in values.iter().enumerate() {
                packed[place(row) + tap * stride] = value;
            }
        }
        for (row, &value) in bias.unwrap_or_default().iter().enumerate() {
            packed[place(row) + taps * stride] = value;
        }
        Self { stream: builder.upload_padded("short filter", packed, stride), taps }
    }

    /// The taps of one stream.
    pub fn of(&self, index: usize) -> ShortFilter {
        ShortFilter { stream: self.stream.down(index * (self.taps + 1)), taps: self.taps }
    }
}

/// y = act(short ∗ x) · (gate_short ∗ gate) for `batch` sequences of `seq_len` rows of `width` floats (rounded up to a
/// multiple of four); only the first factor without `gate`. Both filters must have equally many taps. y must have a
/// buffer of its own.
pub fn short_conv(
    builder: &mut Builder,
    [batch, seq_len, width]: [usize; 3],
    (x, short): (Stream, ShortFilter),
    activation: Activation,
    gate: Option<(Stream, ShortFilter)>,
    y: Stream,
) {
    let vectors_of_row = width.div_ceil(4);
    let [x_groups, y_groups, _] = line_of_groups((vectors_of_row * seq_len.div_ceil(RUN)).div_ceil(THREADS));
    let (gate_stream, gate_short) = gate.unwrap_or((x, short));
    debug_assert_eq!(gate_short.taps, short.taps);
    let factors = 1 + u64::from(gate.is_some());
    builder.dispatch(
        SHADER,
        &[
            ("TAPS", f64::from(word(short.taps))),
            ("GATE", f64::from(u8::from(gate.is_some()))),
            ("ACTIVATION", activation.number()),
        ],
        &[
            word(vectors_of_row),
            word(seq_len),
            vectors(x.offset),
            vectors(x.stride),
            vectors(gate_stream.offset),
            vectors(gate_stream.stride),
            vectors(y.offset),
            vectors(y.stride),
            vectors(short.stream.offset),
            vectors(gate_short.stream.offset),
            vectors(short.stream.stride),
            vectors(gate_short.stream.stride),
        ],
        &[x.buffer, short.stream.buffer, gate_stream.buffer, gate_short.stream.buffer, y.buffer],
        [x_groups, y_groups, batch],
        factors * (2 * short.taps + 1) as u64 * (batch * seq_len * width) as u64,
    );
}
