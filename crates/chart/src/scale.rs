//! Logarithmic scales and the positions of their ticks. Positions are in pixels, values in the unit of the axis.

use mixer::exp2;

/// A logarithmic map from values to pixels. Values without a logarithm map to the near end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogScale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl LogScale {
    /// Maps `low..=high` (positive, `low < high`) to `from..=to` pixels; a degenerate range is widened.
    pub fn new(low: f64, high: f64, from: f64, to: f64) -> Self {
        let low = if low.is_finite() && low > 0.0 { low } else { 1.0 };
        let high = if high.is_finite() && high > low { high } else { low * 2.0 };
        Self { low: low.log2(), high: high.log2(), from, to }
    }

    /// The pixel of `value`.
    pub fn pixel(&self, value: f64) -> f64 {
        if !value.is_finite() || value <= 0.0 {
            return self.from;
        }
        self.from + (value.log2() - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The value at a pixel.
    pub fn value(&self, pixel: f64) -> f64 {
        exp2(self.low + (pixel - self.from) / (self.to - self.from) * (self.high - self.low))
    }

    /// Lowest value.
    pub fn low(&self) -> f64 {
        exp2(self.low)
    }

    /// Highest value.
    pub fn high(&self) -> f64 {
        exp2(self.high)
    }
}

/// A tick with an optional label.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Pixel along the axis.
    pub at: f64,
    /// Label; grid lines without a label are drawn fainter.
    pub label: Option<String>,
}

/// Ticks at the powers of two in the range of the scale. At least `gap` pixels lie between labels.
pub fn length_ticks(scale: &LogScale, gap: f64, label: impl Fn(u32) -> String) -> Vec<Tick> {
    let first = scale.low().log2().ceil().clamp(0.0, 30.0) as u32;
    let last = scale.high().log2().floor().clamp(0.0, 30.0) as u32;
    let step = (scale.pixel(2.0) - scale.pixel(1.0)).abs();
    let stride = (gap / step.max(1e-9)).ceil().clamp(1.0, 30.0) as u32;
    (first..=last.max(first))
        .map(|power| Tick {
            at: scale.pixel(exp2(f64::from(power))),
            label: (power % stride == last % stride).then(|| label(1 << power)),
        })
        .collect()
}

/// The units of an axis of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Units {
    /// Names, smallest unit first, with the text of one unit.
    pub names: &'static [(&'static str, f64)],
    /// Value of the smallest unit.
    pub smallest: f64,
    /// Step between units: 1000 or 1024.
    pub step: f64,
}

/// Milliseconds as ns, µs, ms, s.
pub const TIME: Units = Units {
    names: &[("ns", 1.0), ("µs", 1.0), ("ms", 1.0), ("s", 1.0), ("ks", 1.0)],
    smallest: 1e-6,
    step: 1000.0,
};
/// Bytes as B, KiB, MiB, GiB.
pub const BYTES: Units = Units {
    names: &[("B", 1.0), ("KiB", 1.0), ("MiB", 1.0), ("GiB", 1.0), ("TiB", 1.0)],
    smallest: 1.0,
    step: 1024.0,
};
/// Plain numbers as 1, K, M, G, T.
pub const COUNT: Units = Units {
    names: &[("", 1.0), ("K", 1.0), ("M", 1.0), ("G", 1.0), ("T", 1.0)],
    smallest: 1.0,
    step: 1000.0,
};
/// GFLOP/s or GB/s as milli-, plain and kilo-.
pub const GIGA: Units = Units {
    names: &[("K", 1.0), ("M", 1.0), ("G", 1.0), ("T", 1.0), ("P", 1.0)],
    smallest: 1e-6,
    step: 1000.0,
};
/// Per cent.
pub const PERCENT: Units =
    Units { names: &[("%", 1e-6), ("%", 1e-3), ("%", 1.0)], smallest: 1e-6, step: 1000.0 };

/// Powers of two within each unit (1, 2, 4 … 512), thinned evenly until labels are `gap` pixels apart.
pub fn value_ticks(scale: &LogScale, units: Units, gap: f64) -> Vec<Tick> {
    // From 512 to the next unit is a step of 1.95 or 2, so every thinning below is nearly even.
    const SETS: [&[u32]; 4] =
        [&[1, 2, 4, 8, 16, 32, 64, 128, 256, 512], &[1, 4, 16, 64, 256], &[1, 32], &[1]];
    let octave = (scale.pixel(2.0) - scale.pixel(1.0)).abs();
    let set =
        SETS.into_iter().find(|set| octave * 10.0 / set.len() as f64 >= gap).unwrap_or(SETS[SETS.len() - 1]);
    let (low, high) = (scale.low() * 0.9999, scale.high() * 1.0001);
    let mut ticks = Vec::new();
    let mut unit_value = units.smallest;
    for (name, written) in units.names {
        for multiple in set {
            let value = unit_value * f64::from(*multiple);
            if (low..=high).contains(&value) {
                let number = f64::from(*multiple) * written;
                let label =
                    if name.is_empty() { number.to_string() } else { format!("{number}\u{202f}{name}") };
                ticks.push(Tick { at: scale.pixel(value), label: Some(label) });
            }
        }
        unit_value *= units.step;
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_both_ways_and_accepts_invalid_values() {
        let scale = LogScale::new(256.0, 16_384.0, 0.0, 600.0);
        assert!((scale.pixel(256.0)).abs() < 1e-9);
        assert!((scale.pixel(16_384.0) - 600.0).abs() < 1e-9);
        assert!((scale.pixel(512.0) - 100.0).abs() < 1e-9);
        assert!((scale.value(100.0) - 512.0).abs() < 1e-6);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(scale.pixel(bad).is_finite());
        }
        let degenerate = LogScale::new(f64::NAN, 0.0, 0.0, 10.0);
        assert!(degenerate.pixel(3.0).is_finite());
        assert!(LogScale::new(5.0, 5.0, 0.0, 10.0).pixel(5.0).is_finite());
    }

    #[test]
    fn length_ticks_are_powers_of_two_and_thin_out() {
        let wide = length_ticks(&LogScale::new(256.0, 16_384.0, 0.0, 600.0), 40.0, |n| n.to_string());
        assert_eq!(wide.len(), 7);
        assert!(wide.iter().all(|tick| tick.label.is_some()));
        let narrow = length_ticks(&LogScale::new(256.0, 16_384.0, 0.0, 180.0), 40.0, |n| n.to_string());
        assert_eq!(narrow.len(), 7);
        assert_eq!(narrow.iter().filter(|tick| tick.label.is_some()).count(), 4);
        assert_eq!(narrow[6].label.as_deref(), Some("16384"));
    }

    #[test]
    fn value_ticks_are_evenly_spaced_and_labelled_with_units() {
        let scale = LogScale::new(0.25, 4000.0, 400.0, 0.0);
        let ticks = value_ticks(&scale, TIME, 24.0);
        let labels: Vec<_> = ticks.iter().filter_map(|tick| tick.label.clone()).collect();
        assert!(labels.contains(&"1\u{202f}ms".to_owned()) && labels.contains(&"1\u{202f}s".to_owned()));
        assert!(ticks.windows(2).all(|pair| (pair[0].at - pair[1].at).abs() >= 23.0));
        let shares = value_ticks(&LogScale::new(0.01, 100.0, 300.0, 0.0), PERCENT, 12.0);
        let labels: Vec<_> = shares.iter().filter_map(|tick| tick.label.as_deref()).collect();
        assert!(labels.contains(&"0.064\u{202f}%") && labels.contains(&"64\u{202f}%"), "{labels:?}");
        // An extreme range still has few enough labels.
        let all = value_ticks(&LogScale::new(1e-6, 1e9, 300.0, 0.0), TIME, 24.0);
        assert!(!all.is_empty() && all.len() < 20);
    }
}
