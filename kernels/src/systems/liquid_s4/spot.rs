//! Single output rows in f64 at any length, and whole channels of a core. A row depends on the inputs before it, with a
//! backward model also on those after it, and on one product per degree.

use std::ops::Range;

use algebra::{Algebra, Exact, Load, Tensor, convolution_flops};
use mixer::{Case, Level, MixerError, SpotCheck, SpotColumn, SpotDraw};

use super::model::{Weights, core, kernel, output};
use super::spec::{Liquid, Spec};

/// Largest number of channels of a core that are checked in full.
const CHANNELS: usize = 4;

/// Channels computed at once in f64.
const TOGETHER: usize = 16;

pub(super) fn spot_check(case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let spec = Spec::read(case)?;
    let (width, length) = (spec.dims.d_model, spec.dims.seq_len);
    let per_position = (16 * width * spec.modes) as u64;
    let half = draw.part(0, 2);
    let sees_all = spec.bidirectional || spec.liquid == Liquid::Kb;
    let rows = if sees_all {
        // Every row needs whole kernels.
        half.distinct(length, 1)
    } else if draw.first_row > 0 {
        // Generated tokens come after a context, however long it is.
        half.rows(length, 2)
    } else {
        half.rows(half.affords(2 * per_position, length), 2)
    };
    let mut a = Exact::default();
    let weights = Weights::read(&mut a, &spec, &case.tensors)?;
    let x = a.load(&spec.input(&case.tensors)?[..length * width], [length, width]);
    let mut channels = |channels: Range<usize>, lags: usize, rows: &[usize]| -> Tensor<'_> {
        let own = weights.channels(&mut a, channels.clone());
        let kernels: Vec<_> =
            (0..spec.kernels()).map(|direction| kernel(&mut a, &own, direction, lags)).collect();
        let x = a.columns(&x, channels);
        let (first, end) = (rows.first().copied().unwrap_or(0), rows.last().map_or(0, |last| last + 1));
        let s = core(&mut a, &spec, &own, &kernels, &x, first..end);
        let rows: Vec<usize> = rows.iter().map(|row| row - first).collect();
        a.gather(&s, &rows)
    };
    let end = rows.last().map_or(1, |last| last + 1);
    let of_rows: Vec<_> = (0..width)
        .step_by(TOGETHER)
        .map(|first| {
            let together = first..width.min(first + TOGETHER);
            channels(together, if sees_all { length } else { end }, &rows)
        })
        .collect();
    let mut columns = Vec::new();
    if spec.level == Level::Core {
        let half = draw.part(1, 2);
        let modes = (16 * spec.modes * spec.directions() * length) as u64;
        let affordable = half.affords(modes + 4 * convolution_flops(length), CHANNELS);
        let every: Vec<usize> = (0..length).collect();
        columns.extend(half.distinct(width, affordable).into_iter().map(|channel| {
            SpotColumn::channel(channel, channels(channel..channel + 1, length, &every).to_vec())
        }));
    }
    let s = a.concat(&of_rows);
    let expected = match spec.level {
        Level::Core => s,
        Level::Layer => output(&mut a, &spec, &case.tensors, &s)?,
    };
    Ok(SpotCheck { columns, ..SpotCheck::of_rows(rows, expected.to_vec()) })
}
