//! Single output rows in f64 at any length, and of a core whole channels. A row sees the whole sequence, but a kernel whose tail is below rounding
//! sees nothing: only the positions before that are projected.

use mixer::{Case, Level, MixerError, OpCount, SpotCheck, SpotColumn, SpotDraw};

use super::reference::gelu;
use super::ssm::Direction;
use super::{Linears, Spec};
use crate::ops::exact;
use crate::ops::exact::{linear, widen};
use crate::ops::exact_fft::{convolution_flops, convolve};

/// A tail this small relative to the whole kernel is below f64 rounding of the sum.
const NEGLIGIBLE: f64 = 1e-17;

pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let (length, width) = (spec.dims.seq_len, spec.dims.d_model as u64);
    let mut kernels = Vec::new();
    for direction in Direction::BOTH {
        let ssm = spec.ssm(&case.tensors, direction)?;
        let mut kernel = ssm.kernel(length, &mut OpCount::default());
        kernel[0] += ssm.skip;
        kernel.truncate(reach(&kernel));
        kernels.push(kernel);
    }
    let per_position = 2 * width * if spec.level == Level::Layer { width + 1 } else { 1 };
    let work = |row: usize| {
        let positions = kernels[0].len().min(row + 1) + kernels[1].len().min(length - row);
        positions as u64 * per_position
    };
    let mut rows = Vec::new();
    let mut spent = 0;
    let draw_rows = draw.part(0, 2);
    let middle = draw_rows.distinct(length, 1);
    for row in middle.into_iter().chain([length - 1, 0]) {
        if spent + work(row) <= draw_rows.max_flops && !rows.contains(&row) {
            rows.push(row);
            spent += work(row);
        }
    }
    if rows.is_empty() {
        // Nothing fits: the cheaper end, which is still linear in the kernel's reach.
        rows.push(if work(0) < work(length - 1) { 0 } else { length - 1 });
    }
    rows.sort_unstable();
    let mut expected = Vec::new();
    for &row in &rows {
        expected.extend(output_row(&spec, case, &kernels, row)?);
    }
    let columns = match spec.level {
        Level::Core => channels(&spec, case, &kernels, draw.part(1, 2))?,
        Level::Layer => Vec::new(),
    };
    Ok(SpotCheck { columns, ..SpotCheck::of_rows(rows, expected) })
}

/// Channels of either direction that are checked in full, at most.
const CHANNELS: usize = 2;

/// Whole channels of a core, s_f | s_b.
fn channels(
    spec: &Spec,
    case: &Case,
    kernels: &[Vec<f64>],
    draw: SpotDraw,
) -> Result<Vec<SpotColumn>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let x = spec.input(&case.tensors)?;
    let channels = draw.distinct(width, draw.affords(2 * convolution_flops(length), CHANNELS));
    let mut columns = Vec::new();
    for channel in channels {
        for (direction, kernel) in Direction::BOTH.into_iter().zip(kernels) {
            let is_forward = direction == Direction::Forward;
            let channel = channel + if is_forward { 0 } else { width };
            let values = x.iter().skip(channel).step_by(2 * width).take(length);
            let mut u: Vec<f64> = values.map(|&u| f64::from(u)).collect();
            if !is_forward {
                u.reverse();
            }
            let mut s = convolve(kernel, &u, length);
            if !is_forward {
                s.reverse();
            }
            columns.push(SpotColumn::channel(channel, s));
        }
    }
    Ok(columns)
}

/// Lags after which the kernel's tail is negligible.
fn reach(kernel: &[f64]) -> usize {
    let total: f64 = kernel.iter().map(|k| k.abs()).sum();
    let mut tail = 0.0;
    let negligible = kernel.iter().rev().take_while(|k| {
        tail += k.abs();
        tail <= NEGLIGIBLE * total
    });
    (kernel.len() - negligible.count()).max(1)
}

fn output_row(spec: &Spec, case: &Case, kernels: &[Vec<f64>], t: usize) -> Result<Vec<f64>, MixerError> {
    let (width, length, tensors) = (spec.dims.d_model, spec.dims.seq_len, &case.tensors);
    let x = spec.input(tensors)?;
    let mut ignored = OpCount::default();
    let mut merged = vec![1.0; width];
    let mut core = Vec::new();
    for (direction, kernel) in Direction::BOTH.into_iter().zip(kernels) {
        let positions = match direction {
            Direction::Forward => (t + 1).saturating_sub(kernel.len())..t + 1,
            Direction::Backward => t..(t + kernel.len()).min(length),
        };
        let lag = |position: usize| t.abs_diff(position);
        let mut s = vec![0.0; width];
        if spec.level == Level::Core {
            let offset = if direction == Direction::Forward { 0 } else { width };
            for position in positions {
                let u = &x[position * 2 * width + offset..][..width];
                s.iter_mut().zip(u).for_each(|(s, u)| *s += kernel[lag(position)] * f64::from(*u));
            }
            core.extend(s);
            continue;
        }
        let (project, merge) = match direction {
            Direction::Forward => (Linears::Forward, Linears::MergeForward),
            Direction::Backward => (Linears::Backward, Linears::MergeBackward),
        };
        let (weight, bias) = spec.linear(tensors, project)?;
        let weight = widen(weight);
        for first in positions.clone().step_by(exact::ROWS) {
            let end = (first + exact::ROWS).min(positions.end);
            let rows = normalized(spec, case, &x[first * width..end * width])?;
            let u = exact::linear_rows(&rows, &weight, bias, width);
            for (position, u) in (first..end).zip(u.chunks_exact(width)) {
                s.iter_mut().zip(u).for_each(|(s, u)| *s += kernel[lag(position)] * gelu(spec, *u));
            }
        }
        let (weight, bias) = spec.linear(tensors, merge)?;
        let m = linear(&s, weight, Some(bias), width, &mut ignored);
        merged.iter_mut().zip(m).for_each(|(merged, m)| *merged *= m);
    }
    if spec.level == Level::Core {
        return Ok(core);
    }
    let x = &x[t * width..][..width];
    let mut apply = |which: Linears, x: &[f64]| -> Result<Vec<f64>, MixerError> {
        let (weight, bias) = spec.linear(tensors, which)?;
        Ok(linear(x, weight, Some(bias), which.sizes(spec).0, &mut ignored))
    };
    let v = apply(Linears::Value, &normalized(spec, case, x)?)?;
    let widened = apply(Linears::Widen, &merged)?;
    let gated: Vec<f64> = widened.iter().zip(&v).map(|(o, v)| gelu(spec, *o) * gelu(spec, *v)).collect();
    let mut y = apply(Linears::Out, &gated)?;
    y.iter_mut().zip(x).for_each(|(y, x)| *y += f64::from(*x));
    if spec.pre_norm {
        return Ok(y);
    }
    let (weight, bias) = spec.norm(tensors)?;
    Ok(exact::layer_norm(&y, weight, bias, spec.eps, &mut ignored))
}

/// Rows as the projections see them.
fn normalized(spec: &Spec, case: &Case, rows: &[f32]) -> Result<Vec<f64>, MixerError> {
    let rows = widen(rows);
    if !spec.pre_norm {
        return Ok(rows);
    }
    let (weight, bias) = spec.norm(&case.tensors)?;
    Ok(exact::layer_norm(&rows, weight, bias, spec.eps, &mut OpCount::default()))
}
