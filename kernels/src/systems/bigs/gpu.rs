//! The GPU plan: projections, both state-space models by FFT, then blocks of rows from merge to output, so that the
//! wide streams are never stored as a whole. Steps have the names and the order of those in `cpu.rs`.

use mixer::{Case, Count, GpuTarget, Level, MixerError, Plan, room, zeros};

use super::ssm::Direction;
use super::{Gelu, Linears, Spec};
use crate::ops::gpu::{
    Activation, Builder, Columns, Combine, Filter, Gemm, Linear, LongConv, Norm, Stream, norm, unpack,
};
use crate::ops::long_conv::fft_size;

/// Rows per block between merge and output.
const ROWS: usize = 8192;

pub(super) fn plan(case: &Case, target: &GpuTarget) -> Result<Plan, MixerError> {
    let spec = Spec::read(case)?;
    let mut builder = Builder::new(target);
    let (batch, length, width) = (spec.dims.batch, spec.dims.seq_len, spec.dims.d_model);
    let size = fft_size(length).max(8);
    let conv = LongConv::new(&mut builder, [batch, length, width], size)?;
    let mut filters = Vec::new();
    for direction in Direction::BOTH {
        filters.push(filter(&mut builder, &spec, case, direction, &conv, size)?);
    }
    match spec.level {
        Level::Core => {
            let columns = Columns::heads(2, width);
            let x = builder.upload("u", spec.input(&case.tensors)?, columns);
            let y = builder.stream("s", spec.rows(), columns);
            for (direction, filter) in filters.iter().enumerate() {
                let right = direction * columns.run();
                conv.apply(&mut builder, filter, (x.right(right), None), (y.right(right), None));
            }
            let output = unpack(&mut builder, y, spec.rows(), columns);
            builder.finish(output)
        }
        Level::Layer => {
            let y = layer(&mut builder, &spec, case, &conv, &filters)?;
            let output = unpack(&mut builder, y, spec.rows(), Columns::plain(width));
            builder.finish(output)
        }
    }
}

/// Kernel of one direction for every channel, with the skip in its first tap. The backward kernel has negative lags.
fn filter(
    builder: &mut Builder,
    spec: &Spec,
    case: &Case,
    direction: Direction,
    conv: &LongConv,
    size: usize,
) -> Result<Filter, MixerError> {
    let length = spec.dims.seq_len;
    let stride = Columns::plain(spec.dims.d_model).stride();
    let ssm = spec.ssm(&case.tensors, direction)?;
    drop(room::<f64>(length)?);
    let mut kernel = ssm.kernel(length);
    kernel[0] += ssm.skip;
    let n_taps = if direction == Direction::Forward { length } else { size };
    if !builder.fits(n_taps.saturating_mul(stride)) {
        return Err(MixerError::NeedsBuffer {
            label: "kernel".to_owned(),
            needed_bytes: (4 * Count::from(n_taps) * Count::from(stride)).get(),
            limit_bytes: builder.max_binding_bytes(),
        });
    }
    let mut taps: Vec<f32> = zeros(Count::from(n_taps) * Count::from(stride))?;
    for (lag, &value) in kernel.iter().enumerate() {
        let position = if direction == Direction::Forward { lag } else { (size - lag) % size };
        taps[position * stride..][..stride].fill(value as f32);
    }
    let taps = builder.upload_padded("kernel", taps, stride);
    Ok(conv.filter(builder, taps, n_taps))
}

fn layer(
    builder: &mut Builder,
    spec: &Spec,
    case: &Case,
    conv: &LongConv,
    filters: &[Filter],
) -> Result<Stream, MixerError> {
    let (width, rows) = (spec.dims.d_model, spec.rows());
    let (columns, inner) = (Columns::plain(width), Columns::plain(spec.intermediate));
    let gelu = if spec.gelu == Gelu::Erf { Activation::Gelu } else { Activation::GeluTanh };
    let upload = |builder: &mut Builder, which: Linears| -> Result<Linear, MixerError> {
        let (weight, bias) = spec.linear(&case.tensors, which)?;
        let (inputs, outputs) = which.sizes(spec);
        Ok(Linear::upload(builder, weight, Some(bias), Columns::plain(inputs), Columns::plain(outputs)))
    };
    let (weight, bias) = spec.norm(&case.tensors)?;
    let layer_norm = Norm::upload(builder, weight, bias);
    let eps = spec.eps as f32;
    let x = builder.upload("x", spec.input(&case.tensors)?, columns);
    let normalized = if spec.pre_norm {
        let normalized = builder.stream("normalized", rows, columns);
        norm(builder, x, layer_norm, eps, normalized, [rows, width]);
        normalized
    } else {
        x
    };
    let u = builder.stream("u", rows, columns);
    let mut s = Vec::new();
    for (which, filter) in [Linears::Forward, Linears::Backward].into_iter().zip(filters) {
        let project = upload(builder, which)?.gemm(normalized, rows, u, 0);
        Gemm { activation: gelu, ..project }.record(builder);
        let to = builder.stream("s", rows, columns);
        conv.apply(builder, filter, (u, None), (to, None));
        s.push(to);
    }
    let merge = [upload(builder, Linears::MergeForward)?, upload(builder, Linears::MergeBackward)?];
    let value = upload(builder, Linears::Value)?;
    let widen = upload(builder, Linears::Widen)?;
    let out = upload(builder, Linears::Out)?;
    let block = ROWS.min(rows);
    let other = builder.stream("merge", block, columns);
    let merged = builder.stream("merged", block, columns);
    let gate = builder.stream("value", block, inner);
    let gated = builder.stream("gated", block, inner);
    // u is no longer needed.
    for first in (0..rows).step_by(block) {
        let n = block.min(rows - first);
        merge[1].apply(builder, s[1].down(first), n, other, 0);
        let mut product = merge[0].gemm(s[0].down(first), n, merged, 0);
        product.combine = Some((Combine::Multiply, other.into()));
        product.record(builder);
        let mut product = value.gemm(normalized.down(first), n, gate, 0);
        product.activation = gelu;
        product.record(builder);
        let mut product = widen.gemm(merged, n, gated, 0);
        product.activation = gelu;
        product.combine = Some((Combine::Multiply, gate.into()));
        product.record(builder);
        let mut product = out.gemm(gated, n, u.down(first), 0);
        product.combine = Some((Combine::Add, x.down(first).into()));
        product.record(builder);
    }
    if spec.pre_norm {
        return Ok(u);
    }
    let y = builder.stream("y", rows, columns);
    norm(builder, u, layer_norm, eps, y, [rows, width]);
    Ok(y)
}
