//! Single output rows in f64 at any length, and whole channels of a core. A row depends on the whole sequence, but lags
//! at which the kernel is below rounding do not matter: only positions within the other lags are projected.

use algebra::{Algebra, Exact, Reach, Tensor, convolution_flops};
use mixer::{Case, Level, MixerError, SpotCheck, SpotColumn, SpotDraw};

use super::Spec;
use super::model::{Ssm, Weights, convolve, ssms};
use super::ssm::Direction;
use crate::model::sequence;

/// Largest size of a negligible tail relative to the whole kernel: below f64 rounding of the sum.
const NEGLIGIBLE: f64 = 1e-17;

pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let (length, width) = (spec.dims.seq_len, spec.dims.d_model as u64);
    let mut lags = [0; 2];
    for (lags, direction) in lags.iter_mut().zip(Direction::BOTH) {
        *lags = reach(&spec.ssm(&case.tensors, direction)?.kernel(length));
    }
    let mut a = Exact::default();
    let ssms = ssms(&mut a, &spec, &case.tensors, lags)?;
    let per_position = 2 * width * if spec.level == Level::Layer { width + 1 } else { 1 };
    let work = |row: usize| {
        let positions = lags[0].min(row + 1) + lags[1].min(length - row);
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
        // If nothing fits the budget, take the cheaper end, whose cost is linear in the kernel's lags.
        rows.push(if work(0) < work(length - 1) { 0 } else { length - 1 });
    }
    rows.sort_unstable();
    let mut expected = Vec::new();
    for &row in &rows {
        expected.extend(output_row(&mut a, &spec, case, &ssms, row)?);
    }
    let columns = match spec.level {
        Level::Core => channels(&mut a, &spec, case, &ssms, draw.part(1, 2))?,
        Level::Layer => Vec::new(),
    };
    Ok(SpotCheck { columns, ..SpotCheck::of_rows(rows, expected) })
}

/// Largest number of channels per direction that are checked in full.
const CHANNELS: usize = 2;

/// Whole channels of a core, s_f | s_b.
fn channels<'a>(
    a: &mut Exact<'a>,
    spec: &Spec,
    case: &'a Case,
    ssms: &[Ssm<Tensor<'a>>; 2],
    draw: SpotDraw,
) -> Result<Vec<SpotColumn>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let x = sequence(a, spec.input(&case.tensors)?, [length, 2 * width], 0);
    let mut columns = Vec::new();
    for channel in draw.distinct(width, draw.affords(2 * convolution_flops(length), CHANNELS)) {
        for (channel, ssm) in [channel, channel + width].into_iter().zip(ssms) {
            let u = a.columns(&x, channel..channel + 1);
            let s = convolve(a, ssm, &u, 0..length);
            columns.push(SpotColumn::channel(channel, s.to_vec()));
        }
    }
    Ok(columns)
}

/// Number of lags before the negligible tail of the kernel.
fn reach(kernel: &[f64]) -> usize {
    let total: f64 = kernel.iter().map(|k| k.abs()).sum();
    let mut tail = 0.0;
    let negligible = kernel.iter().rev().take_while(|k| {
        tail += k.abs();
        tail <= NEGLIGIBLE * total
    });
    (kernel.len() - negligible.count()).max(1)
}

/// Output row `t`.
fn output_row<'a>(
    a: &mut Exact<'a>,
    spec: &Spec,
    case: &'a Case,
    ssms: &[Ssm<Tensor<'a>>; 2],
    t: usize,
) -> Result<Vec<f64>, MixerError> {
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    // The rows that a direction reads, and the index of t among them.
    let window = |a: &mut Exact<'a>, ssm: &Ssm<Tensor<'a>>, x: &Tensor<'a>| {
        let [lags, _] = a.shape(&ssm.kernel);
        let (rows, at) = match ssm.reach {
            Reach::Past => ((t + 1).saturating_sub(lags)..t + 1, lags.min(t + 1) - 1),
            _ => (t..(t + lags).min(length), 0),
        };
        (a.rows(x, rows), at..at + 1)
    };
    let input = spec.input(&case.tensors)?;
    if spec.level == Level::Core {
        let x = sequence(a, input, [length, 2 * width], 0);
        let mut both = Vec::new();
        for (first, ssm) in [0, width].into_iter().zip(ssms) {
            let u = a.columns(&x, first..first + width);
            let (u, rows) = window(a, ssm, &u);
            both.extend(convolve(a, ssm, &u, rows).to_vec());
        }
        return Ok(both);
    }
    let weights = Weights::read(a, spec, &case.tensors)?;
    let x = sequence(a, input, [length, width], 0);
    let merged = ssms.each_ref().map(|ssm| {
        let (seen, rows) = window(a, ssm, &x);
        let prepared = weights.prepared(a, &seen);
        weights.direction(a, ssm, &prepared, rows)
    });
    let x = a.rows(&x, t..t + 1);
    let prepared = weights.prepared(a, &x);
    Ok(weights.gate(a, [&x, &prepared], merged.each_ref()).to_vec())
}
