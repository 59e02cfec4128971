//! The GPU plan: the sequence mixer of `sequence_gpu.rs`; block-diagonal products as batched products with one block per
//! batch. Steps have the names and the order of those in the CPU files.

use mixer::{Access, BufferId, Case, Count, GpuTarget, MixerError, Plan, Shader};

use super::matrix;
use super::sequence_gpu::sequence;
use super::{BlockDiagonalSpec, MlpParams, MlpSpec, MonarchSpec, Spec};
use crate::ops::block_diagonal::BlockShape;
use crate::ops::gpu::{
    Batches, Builder, Columns, Combine, Gemm, Operand, Stream, grid, line_of_groups, unpack, word,
};

const REARRANGE: Shader = Shader {
    label: "rearrange",
    source: wgsl!("ops/gpu/line.wgsl", "systems/monarch_mixer/rearrange.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::ReadWrite],
};

const FINISH: Shader = Shader {
    label: "finish",
    source: wgsl!("ops/gpu/line.wgsl", "ops/gpu/reduce.wgsl", "systems/monarch_mixer/finish.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::ReadWrite, Access::Read],
};

/// Rows per block of the MLP.
const ROWS: usize = 8192;

/// Rows of a stream in a layout of columns.
#[derive(Clone, Copy)]
pub(super) struct Laid {
    pub stream: Stream,
    pub columns: Columns,
}

impl Laid {
    pub(super) fn new(builder: &mut Builder, label: &'static str, rows: usize, columns: Columns) -> Self {
        Self { stream: builder.stream(label, rows, columns), columns }
    }

    fn down(self, rows: usize) -> Self {
        Self { stream: self.stream.down(rows), ..self }
    }

    fn words(self) -> [u32; 4] {
        let Stream { offset, stride, .. } = self.stream;
        [word(offset), word(stride), word(self.columns.width), word(self.columns.run())]
    }
}

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let mut builder = Builder::new(target);
    match Spec::read(case)? {
        Spec::Sequence(spec) => {
            let y = sequence(&mut builder, &spec, case)?;
            let output = unpack(&mut builder, y, spec.rows(), Columns::plain(spec.dims.d_model));
            builder.finish(output)
        }
        Spec::Mlp(spec) => {
            let (width, rows) = (spec.dims.d_model, spec.dims.batch * spec.dims.seq_len);
            let params = spec.params(&case.tensors, "param")?;
            let x = case.tensors.floats("x", &spec.dims.shape(width))?;
            let x = upload(&mut builder, x, width, in_columns(spec.up()));
            let mlp = Mlp::new(&mut builder, spec, &params);
            let output = mlp.apply(&mut builder, x, rows);
            builder.finish(output)
        }
        Spec::BlockDiagonal(spec) => block_diagonal(builder, &spec, case),
        Spec::Monarch(spec) => monarch(builder, &spec, case),
    }
}

/// Layout of the inputs of a block-diagonal matrix: a run per block.
pub(super) fn in_columns(shape: BlockShape) -> Columns {
    Columns::heads(shape.blocks, shape.block_inputs())
}

/// Layout of the outputs of a block-diagonal matrix.
fn out_columns(shape: BlockShape) -> Columns {
    Columns::heads(shape.blocks, shape.block_outputs())
}

/// Rows of `width` floats in a layout with possibly longer rows.
fn upload(builder: &mut Builder, rows: &[f32], width: usize, columns: Columns) -> Laid {
    let stride = columns.stride();
    let mut padded = builder.zeros(Count::from(rows.len() / width) * Count::from(stride)).unwrap_or_default();
    for (to, from) in padded.chunks_exact_mut(stride).zip(rows.chunks_exact(width)) {
        from.iter().enumerate().for_each(|(column, value)| to[columns.position(column)] = *value);
    }
    Laid { stream: builder.upload_padded("x", padded, stride), columns }
}

/// One block-diagonal matrix on the device.
#[derive(Clone, Copy)]
struct Blocks {
    shape: BlockShape,
    /// `[blocks · q, p]`, padded.
    weight: Stream,
}

impl Blocks {
    fn upload(builder: &mut Builder, shape: BlockShape, weight: &[f32]) -> Self {
        Self { shape, weight: builder.upload("blocks", weight, Columns::plain(shape.block_inputs())) }
    }

    /// y from x, both in this matrix's layouts; `combine` reads another operand in the layout of the outputs.
    fn apply(&self, builder: &mut Builder, x: Stream, y: Stream, rows: usize, combine: Option<Stream>) {
        let (p, q) = (self.shape.block_inputs(), self.shape.block_outputs());
        let each = |stream: Stream, columns: Columns| Operand { stream, outer: 0, inner: columns.run() };
        let weight = Operand { stream: self.weight, outer: 0, inner: q * self.weight.stride };
        let outputs = out_columns(self.shape);
        Gemm {
            batches: Batches { outer: 1, inner: self.shape.blocks },
            transpose_b: true,
            combine: combine.map(|stream| (Combine::Add, each(stream, outputs))),
            ..Gemm::new(each(x, in_columns(self.shape)), weight, each(y, outputs), [rows, q, p])
        }
        .record(builder);
    }
}

/// Operation of [`rearrange`] on elements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    None,
    Gelu,
    /// gelu of an element times the element this many floats further on.
    Times(usize),
}

/// Transposes each row of `count` elements of `floats` floats, seen as rows of `source_columns` elements.
fn rearrange(
    builder: &mut Builder,
    x: Laid,
    y: Laid,
    rows: usize,
    [count, floats, source_columns]: [usize; 3],
    gate: Gate,
) {
    let distance = if let Gate::Times(distance) = gate { distance } else { 0 };
    let mut uniforms =
        vec![word(rows * count), word(count), word(floats), word(source_columns), word(distance)];
    uniforms.extend(x.words());
    uniforms.extend(y.words());
    builder.dispatch(
        REARRANGE,
        &[
            ("ACTIVATE", f64::from(u8::from(gate != Gate::None))),
            ("GATE", f64::from(u8::from(matches!(gate, Gate::Times(_))))),
        ],
        &uniforms,
        &[x.stream.buffer, y.stream.buffer],
        grid(rows * count),
        2 * (rows * count * floats) as u64,
    );
}

/// y = x + extra or its normalisation, from blocks to plain rows of `width`.
fn finish(
    builder: &mut Builder,
    x: Laid,
    y: Laid,
    [rows, width]: [usize; 2],
    params: BufferId,
    eps: Option<f64>,
) {
    let mut uniforms = vec![word(rows), word(width)];
    uniforms.extend(x.words());
    uniforms.extend(y.words());
    uniforms.push((eps.unwrap_or(0.0) as f32).to_bits());
    builder.dispatch(
        FINISH,
        &[("NORM", f64::from(u8::from(eps.is_some())))],
        &uniforms,
        &[x.stream.buffer, y.stream.buffer, params],
        line_of_groups(rows),
        9 * (rows * width) as u64,
    );
}

/// Consecutive vectors of `width` floats.
fn vectors_of(builder: &mut Builder, parts: &[&[f32]]) -> BufferId {
    let mut all = parts.concat();
    all.resize(all.len().next_multiple_of(4), 0.0);
    let stride = all.len();
    builder.upload_padded("vectors", all, stride).buffer
}

/// The MLP on the device.
pub(super) struct Mlp {
    spec: MlpSpec,
    up: Blocks,
    down: Blocks,
    /// Bias of the second matrix, weight and bias of the normalisation.
    params: BufferId,
}

impl Mlp {
    pub(super) fn new(builder: &mut Builder, spec: MlpSpec, params: &MlpParams<'_>) -> Self {
        Self {
            spec,
            up: Blocks::upload(builder, spec.up(), params.up),
            down: Blocks::upload(builder, spec.down(), params.down),
            params: vectors_of(builder, &[params.bias, params.norm.0, params.norm.1]),
        }
    }

    /// Computes plain rows from rows in the layout of the first matrix, block by block of rows.
    pub(super) fn apply(&self, builder: &mut Builder, x: Laid, rows: usize) -> BufferId {
        let (width, inner) = (self.spec.dims.d_model, self.spec.intermediate);
        let block = ROWS.min(rows);
        let hidden = Laid::new(builder, "hidden", block, out_columns(self.spec.up()));
        let gated = Laid::new(builder, "gated", block, in_columns(self.spec.down()));
        let sum = Laid::new(builder, "sum", block, out_columns(self.spec.down()));
        let y = Stream { buffer: builder.scratch("y", rows * width), offset: 0, stride: width };
        let y = Laid { stream: y, columns: Columns::plain(width) };
        for first in (0..rows).step_by(block) {
            let n = block.min(rows - first);
            let x = x.down(first);
            self.up.apply(builder, x.stream, hidden.stream, n, None);
            let gate = if self.spec.glu { Gate::Times(inner) } else { Gate::Gelu };
            rearrange(builder, hidden, gated, n, [inner, 1, 1], gate);
            self.down.apply(builder, gated.stream, sum.stream, n, Some(x.stream));
            finish(builder, sum, y.down(first), [n, width], self.params, Some(self.spec.eps));
        }
        y.stream.buffer
    }
}

fn block_diagonal(mut builder: Builder, spec: &BlockDiagonalSpec, case: &Case) -> Result<Plan, MixerError> {
    let BlockShape { inputs, outputs, blocks } = spec.shape;
    let (weight, bias) = spec.params(&case.tensors)?;
    let matrix = Blocks::upload(&mut builder, spec.shape, weight);
    let mut x = upload(&mut builder, spec.input(&case.tensors)?, inputs, in_columns(spec.shape));
    if spec.shuffle {
        let shuffled = Laid::new(&mut builder, "shuffled", spec.rows, x.columns);
        rearrange(&mut builder, x, shuffled, spec.rows, [inputs, 1, inputs / blocks], Gate::None);
        x = shuffled;
    }
    let product = Laid::new(&mut builder, "product", spec.rows, out_columns(spec.shape));
    matrix.apply(&mut builder, x.stream, product.stream, spec.rows, None);
    let bias = vectors_of(&mut builder, &[bias]);
    let y = Stream { buffer: builder.scratch("y", spec.rows * outputs), offset: 0, stride: outputs };
    let y = Laid { stream: y, columns: Columns::plain(outputs) };
    finish(&mut builder, product, y, [spec.rows, outputs], bias, None);
    builder.finish(y.stream.buffer)
}

fn monarch(mut builder: Builder, spec: &MonarchSpec, case: &Case) -> Result<Plan, MixerError> {
    let (rows, e) = (spec.rows, spec.floats());
    let (right_shape, left_shape) = matrix::shapes(spec);
    let (right, left) = matrix::real_factors(spec, spec.factors(&case.tensors)?);
    let right = Blocks::upload(&mut builder, right_shape, &right);
    let left = Blocks::upload(&mut builder, left_shape, &left);
    let mut x = upload(&mut builder, spec.input(&case.tensors)?, spec.inputs(), in_columns(right_shape));
    if spec.permute {
        let permuted = Laid::new(&mut builder, "permuted", rows, x.columns);
        rearrange(&mut builder, x, permuted, rows, [spec.inputs(), 1, spec.right[0]], Gate::None);
        x = permuted;
    }
    let mid = Laid::new(&mut builder, "middle", rows, out_columns(right_shape));
    right.apply(&mut builder, x.stream, mid.stream, rows, None);
    let z = Laid::new(&mut builder, "middle", rows, in_columns(left_shape));
    rearrange(&mut builder, mid, z, rows, [spec.middle(), e, spec.left[0]], Gate::None);
    let product = Laid::new(&mut builder, "product", rows, out_columns(left_shape));
    left.apply(&mut builder, z.stream, product.stream, rows, None);
    let width = e * spec.outputs();
    let y = Stream { buffer: builder.scratch("y", rows * width), offset: 0, stride: width };
    let y = Laid { stream: y, columns: Columns::plain(width) };
    rearrange(&mut builder, product, y, rows, [spec.outputs(), e, spec.left[1]], Gate::None);
    builder.finish(y.stream.buffer)
}
