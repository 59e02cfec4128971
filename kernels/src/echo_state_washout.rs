//! Spot checks of recurrences far from their start in f64, where stepping from the first token would take too long.
//!
//! These recurrences forget: after enough steps, two different initial states agree up to rounding. The reference
//! therefore starts some steps before the checked row from two extreme states. Once they agree, the state no longer
//! depends on earlier inputs, so the reference is right about this row and the following ones without the steps before.
//! If they do not agree within the operation budget, the row is not checked.
//!
//! Undetectable: errors that decay before the checked rows, since every state forgets them equally fast.

use std::ops::Range;

use algebra::{Exact, Load, Tensor};
use mixer::{SpotCheck, SpotDraw};

/// Largest difference of agreeing states. It is several powers of ten below the rows' tolerance, since the true state
/// may differ more from both states than they differ from each other.
const AGREEMENT: f64 = 1e-12;

/// Magnitude of the initial states, larger than any state of these networks.
const EXTREME: f64 = 2.0;

/// State of the neurons, and of the mixed memory if there is one.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub h: Vec<f64>,
    pub m: Vec<f64>,
}

impl State {
    /// Both parts in a model, `[1, units]` each.
    pub(crate) fn load<'a, A: Load<'a>>(&self, a: &mut A) -> [A::T; 2] {
        [&self.h, &self.m].map(|values| a.constant([1, values.len()], values.clone()))
    }
}

/// Rows at the beginning, where `initial` leads step by step, at the end and, drawn, before it. `step` takes one step of a
/// model on the first sequence and returns the state and the output row.
pub(crate) fn spot_check<'a>(
    length: usize,
    initial: State,
    step_flops: u64,
    draw: SpotDraw,
    mut step: impl FnMut(&mut Exact<'a>, [&Tensor<'a>; 2], usize) -> ([Tensor<'a>; 2], Tensor<'a>),
) -> SpotCheck {
    let mut a = Exact::default();
    rows(length, initial, step_flops, draw, |state, t| {
        let before = state.load(&mut a);
        let ([h, m], y) = step(&mut a, before.each_ref(), t);
        *state = State { h: h.to_vec(), m: m.to_vec() };
        y.to_vec()
    })
}

fn rows(
    length: usize,
    initial: State,
    step_flops: u64,
    draw: SpotDraw,
    mut step: impl FnMut(&mut State, usize) -> Vec<f64>,
) -> SpotCheck {
    let affordable = usize::try_from(draw.max_flops / step_flops.max(1)).unwrap_or(usize::MAX);
    let sizes = [initial.h.len(), initial.m.len()];
    let mut state = initial;
    let reached = (affordable / 4).clamp(1, length);
    let mut found = Vec::new();
    let early = draw.rows(reached, 2);
    for t in 0..reached {
        let y = step(&mut state, t);
        if t == 0 || early.contains(&t) {
            found.push((t, y));
        }
    }
    let mut left = affordable.saturating_sub(reached);
    // The end comes first, since it depends on the whole sequence.
    let middle = draw.part(1, 1).distinct(length - reached, 1).first().map_or(0, |row| reached + row);
    for (row, budget) in [(length - 1, left / 2), (middle, left)] {
        if row >= reached && row < length {
            let window = (budget.min(left) / 2).min(row + 1);
            let (rows, steps) = washed_out(sizes, row + 1 - window..row + 1, &mut step);
            left = left.saturating_sub(steps);
            found.extend(rows);
        }
    }
    found.sort_by_key(|(row, _)| *row);
    found.dedup_by_key(|(row, _)| *row);
    let (rows, expected): (_, Vec<_>) = found.into_iter().unzip();
    SpotCheck::of_rows(rows, expected.concat())
}

/// The first row of `window` at which both states agree, and its last row, with their outputs, and the number of steps
/// taken.
fn washed_out(
    sizes: [usize; 2],
    window: Range<usize>,
    step: &mut impl FnMut(&mut State, usize) -> Vec<f64>,
) -> (Vec<(usize, Vec<f64>)>, usize) {
    let start = |even: f64| {
        let [h, m] = sizes.map(|n| (0..n).map(|u| if u.is_multiple_of(2) { even } else { -even }).collect());
        State { h, m }
    };
    let (mut one, mut other) = (start(EXTREME), start(-EXTREME));
    let (mut rows, mut steps) = (Vec::new(), 0);
    for t in window.clone() {
        let y = step(&mut one, t);
        steps += 1;
        if rows.is_empty() {
            let other_y = step(&mut other, t);
            steps += 1;
            if one.apart(&other) <= AGREEMENT && apart(&y, &other_y) <= AGREEMENT {
                rows.push((t, y));
            }
        } else if t + 1 == window.end {
            rows.push((t, y));
        }
    }
    (rows, steps)
}

impl State {
    fn apart(&self, other: &Self) -> f64 {
        apart(&self.h, &other.h).max(apart(&self.m, &other.m))
    }
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(decay: f64, max_flops: u64) -> SpotCheck {
        let initial = State { h: vec![0.0; 2], m: Vec::new() };
        rows(1000, initial, 1, SpotDraw { seed: 1, max_flops, first_row: 0 }, |state, t| {
            state.h.iter_mut().for_each(|h| *h = decay * *h + t as f64);
            state.h.clone()
        })
    }

    #[test]
    fn decaying_recurrences_are_checked_to_the_end() {
        let spot = check(0.5, 1000);
        assert!(spot.rows.starts_with(&[0]) && spot.rows.ends_with(&[999]), "{:?}", spot.rows);
        assert!(spot.rows.contains(&249) && spot.rows.len() == 7, "{:?}", spot.rows);
        let want = |t: usize| (0..=t).fold(0.0, |h, s| 0.5 * h + s as f64);
        for (&row, got) in spot.rows.iter().zip(spot.expected.chunks(2)) {
            assert!(got.iter().all(|got| (got - want(row)).abs() < 1e-9), "row {row}");
        }
    }

    #[test]
    fn recurrences_without_decay_are_checked_at_the_start_only() {
        let rows = check(1.0, 1000).rows;
        assert!(rows.len() == 3 && rows[0] == 0 && rows[2] == 249, "{rows:?}");
        assert_eq!(check(0.5, 3).rows, [0]);
    }
}
