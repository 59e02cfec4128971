//! Matrix products on the GPU, and linear layers built from them.

use mixer::{Access, BufferId, Count, Shader};

use super::builder::Builder;
use super::elementwise::{Activation, Combine};
use super::stream::{Columns, Stream, vectors, word};

const SHADER: Shader = Shader {
    label: "gemm",
    source: wgsl!("ops/gpu/erf.wgsl", "ops/gpu/activation.wgsl", "ops/gpu/gemm.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::Read, Access::Read, Access::ReadWrite],
};

/// Rows and columns of the result per workgroup.
const TILE: usize = 64;

/// Number of products of one shape: `outer` (sequences) times `inner` (heads).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batches {
    /// Sequences.
    pub outer: usize,
    /// Heads of a sequence.
    pub inner: usize,
}

impl Batches {
    /// A single product.
    pub const ONE: Self = Self { outer: 1, inner: 1 };
}

/// A matrix of each product: the first one, and the distances between matrices in floats (multiples of four).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operand {
    /// The first matrix.
    pub stream: Stream,
    /// Distance between the matrices of successive sequences.
    pub outer: usize,
    /// Distance between the matrices of successive heads.
    pub inner: usize,
}

impl From<Stream> for Operand {
    fn from(stream: Stream) -> Self {
        Self { stream, outer: 0, inner: 0 }
    }
}

impl Operand {
    fn words(self) -> [u32; 4] {
        [vectors(self.stream.offset), vectors(self.stream.stride), vectors(self.outer), vectors(self.inner)]
    }
}

/// Y = combine(act(alpha · A·B + bias), C) for each product of a batch.
///
/// A is `[rows, inner]` (`[inner, rows]` with `transpose_a`), B is `[inner, columns]` (`[columns, inner]` with
/// `transpose_b`), Y is `[rows, columns]`. The sizes are arbitrary. Y's padding columns become zero. Y must not be in
/// the buffer of A, B, C or the bias.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gemm {
    /// Left factor.
    pub a: Operand,
    /// Right factor.
    pub b: Operand,
    /// Result.
    pub y: Operand,
    /// Rows of Y.
    pub rows: usize,
    /// Columns of Y.
    pub columns: usize,
    /// Length of the sums.
    pub inner: usize,
    /// Products.
    pub batches: Batches,
    /// Whether A is stored transposed.
    pub transpose_a: bool,
    /// Whether B is stored transposed.
    pub transpose_b: bool,
    /// Factor of the product, applied before the bias.
    pub alpha: f32,
    /// `[columns]`, zero-padded to a multiple of four.
    pub bias: Option<BufferId>,
    /// Activation, applied after the bias.
    pub activation: Activation,
    /// A stream with the shape of Y, combined last.
    pub combine: Option<(Combine, Operand)>,
    /// Contiguous columns of Y, padding included, and the distance between such planes; `None` for a single plane.
    pub planes: Option<(usize, usize)>,
}

impl Gemm {
    /// A plain product A·B.
    pub fn new(a: Operand, b: Operand, y: Operand, [rows, columns, inner]: [usize; 3]) -> Self {
        Self {
            a,
            b,
            y,
            rows,
            columns,
            inner,
            batches: Batches::ONE,
            transpose_a: false,
            transpose_b: false,
            alpha: 1.0,
            bias: None,
            activation: Activation::None,
            combine: None,
            planes: None,
        }
    }

    /// Records one dispatch, or several where one would exceed the device's limits.
    pub fn record(&self, builder: &mut Builder) {
        let most = builder.target().max_workgroups_per_dimension as usize;
        let tile_flops = 2 * (TILE * TILE) as u64 * self.inner as u64;
        let budget = builder.target().max_dispatch_flops / tile_flops.max(1);
        let budget = usize::try_from(budget).unwrap_or(usize::MAX).max(1);
        let all =
            [self.columns.div_ceil(TILE), self.rows.div_ceil(TILE), self.batches.outer * self.batches.inner];
        let x = all[0].min(budget).min(most);
        let y = all[1].min((budget / x.max(1)).clamp(1, most));
        let z = all[2].min((budget / (x * y).max(1)).clamp(1, most));
        for first_batch in (0..all[2]).step_by(z.max(1)) {
            for first_row in (0..all[1]).step_by(y.max(1)) {
                for first_column in (0..all[0]).step_by(x.max(1)) {
                    let first = [first_column, first_row, first_batch];
                    let count = [x, y, z];
                    let count = std::array::from_fn(|i| count[i].min(all[i] - first[i]));
                    self.part(builder, first, count);
                }
            }
        }
    }

    /// Records a range of column tiles, row tiles and products.
    fn part(&self, builder: &mut Builder, first: [usize; 3], count: [usize; 3]) {
        let (width, stride) = self.planes.unwrap_or((self.columns.next_multiple_of(4), 0));
        let mut uniforms = vec![
            word(self.rows),
            word(self.columns),
            word(self.inner),
            word(self.batches.inner),
            word(first[1] * TILE),
            word(first[2]),
            word(width),
            vectors(stride),
        ];
        let (combine, c) = self.combine.map_or((Combine::None, None), |(how, with)| (how, Some(with)));
        // Unused bindings are bound to buffers that are read anyway.
        let c = c.unwrap_or(self.a);
        for operand in [self.a, self.b, c, self.y] {
            uniforms.extend(operand.words());
        }
        uniforms.extend([self.alpha.to_bits(), word(first[0] * TILE)]);
        let rows = (count[1] * TILE).min(self.rows - first[1] * TILE);
        let columns = (count[0] * TILE).min(self.columns - first[0] * TILE);
        builder.dispatch(
            SHADER,
            &[
                ("TRANSPOSE_A", f64::from(u8::from(self.transpose_a))),
                ("TRANSPOSE_B", f64::from(u8::from(self.transpose_b))),
                ("HAS_BIAS", f64::from(u8::from(self.bias.is_some()))),
                ("ACTIVATION", self.activation.number()),
                ("COMBINE", combine.number()),
            ],
            &uniforms,
            &[
                self.a.stream.buffer,
                self.b.stream.buffer,
                self.bias.unwrap_or(self.b.stream.buffer),
                c.stream.buffer,
                self.y.stream.buffer,
            ],
            count,
            2 * (count[2] * rows) as u64 * columns as u64 * self.inner as u64,
        );
    }
}

/// The linear layer y = x Wᵀ + b with W on the device, or several layers of one input side by side, such as query, key
/// and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    /// `[inputs, layers · outputs]`, both padded.
    weight: Stream,
    bias: Option<BufferId>,
    inputs: Columns,
    outputs: Columns,
    layers: usize,
}

impl Linear {
    /// Uploads `weight`, `[outputs.len(), inputs.len()]` row-major as PyTorch stores it, and `bias`.
    pub fn upload(
        builder: &mut Builder,
        weight: &[f32],
        bias: Option<&[f32]>,
        inputs: Columns,
        outputs: Columns,
    ) -> Self {
        Self::upload_stacked(builder, &[(weight, bias)], inputs, outputs)
    }

    /// Uploads layers with equal inputs and equal output layouts.
    pub fn upload_stacked(
        builder: &mut Builder,
        layers: &[(&[f32], Option<&[f32]>)],
        inputs: Columns,
        outputs: Columns,
    ) -> Self {
        let stride = layers.len() * outputs.stride();
        let size = Count::from(inputs.stride()) * Count::from(stride);
        let mut packed = builder.zeros(size).unwrap_or_default();
        let mut biases = vec![0.0; stride];
        // Where memory for the weights is exhausted, the whole plan is refused later.
        let layers_with_room = if packed.is_empty() { &[] } else { layers };
        for (layer, (weight, bias)) in layers_with_room.iter().enumerate() {
            for (output, row) in weight.chunks_exact(inputs.len().max(1)).enumerate() {
                let column = layer * outputs.stride() + outputs.position(output);
                for (input, &value) in row.iter().enumerate() {
                    packed[inputs.position(input) * stride + column] = value;
                }
            }
            for (output, &value) in bias.unwrap_or_default().iter().enumerate() {
                biases[layer * outputs.stride() + outputs.position(output)] = value;
            }
        }
        let has_bias = layers.iter().any(|(_, bias)| bias.is_some());
        let bias = has_bias.then(|| builder.upload_padded("bias", biases, stride).buffer);
        let weight = builder.upload_padded("weight", packed, stride);
        Self { weight, bias, inputs, outputs, layers: layers.len() }
    }

    /// y `[rows, outputs]` from x `[rows, inputs]`. The output of layer i of several begins `i · plane` floats after y.
    pub fn apply(&self, builder: &mut Builder, x: Stream, rows: usize, y: Stream, plane: usize) {
        self.gemm(x, rows, y, plane).record(builder);
    }

    /// [`Linear::apply`] as a product, to which an activation or a second stream can be added.
    pub fn gemm(&self, x: Stream, rows: usize, y: Stream, plane: usize) -> Gemm {
        let sizes = [rows, self.weight.stride, self.inputs.stride()];
        Gemm {
            bias: self.bias,
            planes: (self.layers > 1).then_some((self.outputs.stride(), plane)),
            ..Gemm::new(x.into(), self.weight.into(), y.into(), sizes)
        }
    }
}
