//! Marker shapes, one per slot, distinguishable by outline alone.

use std::f64::consts::PI;
use std::fmt::Write as _;

/// Number of distinguishable outlines without a hole.
const OUTLINES: usize = 14;

/// SVG path data of the marker of `slot`, centred on `(x, y)`, with about equal visual weight for all slots. Slots
/// beyond the plain outlines have an outline with a round hole.
pub fn path(slot: usize, x: f64, y: f64, r: f64) -> String {
    let plain = (slot / OUTLINES).is_multiple_of(2);
    match slot % OUTLINES {
        // Too narrow in the middle for a hole.
        13 if !plain => hourglass(x, y, r * 1.1),
        slot if plain => outline(slot, x, y, r),
        // A hole has the opposite direction of its outline: the ring is anticlockwise, all other paths clockwise.
        0 => outline(0, x, y, r) + &circle(x, y, r * 0.42, 1),
        slot => outline(slot, x, y, r) + &circle(x, y, r * 0.42, 0),
    }
}

fn outline(slot: usize, x: f64, y: f64, r: f64) -> String {
    match slot {
        0 => circle(x, y, r, 0),
        1 => polygon(x, y, r * 1.15, 4, 0.0),
        2 => polygon(x, y, r * 1.25, 4, PI / 4.0),
        3 => polygon(x, y, r * 1.25, 3, 0.0),
        4 => polygon(x, y, r * 1.25, 3, PI),
        5 => star(x, y, r * 1.4, 5, 0.45),
        6 => cross(x, y, r * 1.2, 0.0),
        7 => cross(x, y, r * 1.2, PI / 4.0),
        8 => polygon(x, y, r * 1.15, 5, 0.0),
        9 => polygon(x, y, r * 1.15, 6, 0.0),
        10 => polygon(x, y, r * 1.25, 3, PI / 2.0),
        11 => polygon(x, y, r * 1.25, 3, -PI / 2.0),
        12 => star(x, y, r * 1.35, 4, 0.4),
        _ => bow_tie(x, y, r * 1.1),
    }
}

/// A circle, clockwise if `sweep` is 1 and anticlockwise if it is 0.
fn circle(x: f64, y: f64, r: f64, sweep: u8) -> String {
    format!(
        "M{:.2} {y:.2}a{r:.2} {r:.2} 0 1 {sweep} {:.2} 0a{r:.2} {r:.2} 0 1 {sweep} {:.2} 0z",
        x - r,
        2.0 * r,
        -2.0 * r
    )
}

fn closed(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut out = String::with_capacity(96);
    for (index, (x, y)) in points.enumerate() {
        let _ = write!(out, "{}{x:.2} {y:.2}", if index == 0 { 'M' } else { 'L' });
    }
    out.push('z');
    out
}

fn polygon(x: f64, y: f64, r: f64, corners: u32, turn: f64) -> String {
    closed((0..corners).map(|corner| {
        let angle = turn + 2.0 * PI * f64::from(corner) / f64::from(corners);
        let (sin, cos) = sin_cos(angle);
        (x + r * sin, y - r * cos)
    }))
}

fn star(x: f64, y: f64, r: f64, rays: u32, inner: f64) -> String {
    closed((0..2 * rays).map(|corner| {
        let angle = PI * f64::from(corner) / f64::from(rays);
        let r = if corner % 2 == 0 { r } else { r * inner };
        let (sin, cos) = sin_cos(angle);
        (x + r * sin, y - r * cos)
    }))
}

fn cross(x: f64, y: f64, r: f64, turn: f64) -> String {
    const ARM: f64 = 0.36;
    let corners = [
        (-ARM, -1.0),
        (ARM, -1.0),
        (ARM, -ARM),
        (1.0, -ARM),
        (1.0, ARM),
        (ARM, ARM),
        (ARM, 1.0),
        (-ARM, 1.0),
        (-ARM, ARM),
        (-1.0, ARM),
        (-1.0, -ARM),
        (-ARM, -ARM),
    ];
    let (sin, cos) = sin_cos(turn);
    closed(corners.into_iter().map(|(u, v)| (x + r * (u * cos - v * sin), y + r * (u * sin + v * cos))))
}

/// Sine and cosine of an angle within a turn, by their series. Library functions accept angles of any size: their code
/// and digits of π take six kilobytes in the page's module.
fn sin_cos(angle: f64) -> (f64, f64) {
    let (mut sin, mut cos, mut term) = (0.0, 0.0, 1.0);
    for order in 0..40 {
        match order % 4 {
            0 => cos += term,
            1 => sin += term,
            2 => cos -= term,
            _ => sin -= term,
        }
        term *= angle / f64::from(order + 1);
    }
    (sin, cos)
}

fn bow_tie(x: f64, y: f64, r: f64) -> String {
    closed(
        [(-r, -r), (0.0, -0.25 * r), (r, -r), (r, r), (0.0, 0.25 * r), (-r, r)]
            .into_iter()
            .map(|(u, v)| (x + u, y + v)),
    )
}

/// The bow tie rotated by a right angle.
fn hourglass(x: f64, y: f64, r: f64) -> String {
    closed(
        [(-r, -r), (r, -r), (0.25 * r, 0.0), (r, r), (-r, r), (-0.25 * r, 0.0)]
            .into_iter()
            .map(|(u, v)| (x + u, y + v)),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::palette::MARKS;

    #[test]
    fn sines_agree_with_the_library() {
        for step in -100..=100 {
            let angle = 2.0 * PI * f64::from(step) / 100.0;
            let (sin, cos) = sin_cos(angle);
            assert!((sin - angle.sin()).abs() < 1e-12 && (cos - angle.cos()).abs() < 1e-12, "{angle}");
        }
    }

    #[test]
    fn every_mark_has_its_own_marker() {
        let markers: HashSet<_> = (0..MARKS).map(|slot| path(slot, 0.0, 0.0, 5.0)).collect();
        assert_eq!(markers.len(), MARKS);
    }

    #[test]
    fn plain_markers_equal_those_of_earlier_versions() {
        assert_eq!(path(0, 0.0, 0.0, 5.0), "M-5.00 0.00a5.00 5.00 0 1 0 10.00 0a5.00 5.00 0 1 0 -10.00 0z");
        assert!((0..OUTLINES).all(|slot| path(slot, 0.0, 0.0, 5.0).matches('M').count() == 1));
    }
}
