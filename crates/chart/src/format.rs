//! Formats numbers for display. Every function accepts all inputs, including NaN and infinities, which become a dash.

/// Text shown in place of a missing number.
pub const NONE: &str = "–";

/// A narrow no-break space between a number and its unit.
const SPACE: char = '\u{202f}';

/// `value` with about `digits` significant digits, never in scientific notation.
fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let mut decimals = (digits - 1 - magnitude).max(0);
    // 9.996 rounds up to 10.0, which needs one digit less.
    let scale = 10_f64.powi(decimals);
    if ((value.abs() * scale).round() / scale).log10().floor() as i32 > magnitude {
        decimals = (decimals - 1).max(0);
    }
    let text = format!("{value:.*}", decimals.clamp(0, 12) as usize);
    if magnitude >= 3 { group(&text) } else { text }
}

/// Groups the whole part of a number by thousands.
fn group(text: &str) -> String {
    let (whole, rest) = text.find('.').map_or((text, ""), |dot| text.split_at(dot));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = String::with_capacity(text.len() + 4);
    out.push_str(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out.push_str(rest);
    out
}

/// Picks the largest unit that leaves at least 1; `scale` is the step between units.
fn with_unit(value: f64, units: &[&str], scale: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let mut scaled = value;
    let mut index = 0;
    // 999.7 would be printed as 1,000, so the next larger unit is used.
    while scaled.abs() >= scale * 0.9995 && index + 1 < units.len() {
        scaled /= scale;
        index += 1;
    }
    let unit = units.get(index).copied().unwrap_or_default();
    let number = significant(scaled, 3);
    if unit.is_empty() { number } else { format!("{number}{SPACE}{unit}") }
}

/// A time given in milliseconds: `1.23 ms`, `840 µs`, `12.4 s`, `3 min 20 s`.
pub fn time(ms: f64) -> String {
    if ms.is_finite() && ms >= 120_000.0 {
        let seconds = (ms / 1000.0).round() as u64;
        return format!("{}{SPACE}min {}{SPACE}s", group(&(seconds / 60).to_string()), seconds % 60);
    }
    with_unit(ms * 1e6, &["ns", "µs", "ms", "s"], 1000.0)
}

/// A number without a unit: `16,384`, `1.23`; very small and very large ones as a power of ten.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        NONE.to_owned()
    } else if value != 0.0 && !(1e-4..1e15).contains(&value.abs()) {
        format!("{value:e}")
    } else if value.fract() == 0.0 {
        group(&format!("{value:.0}"))
    } else {
        significant(value, 3)
    }
}

/// Bytes in powers of two: `1.5 MiB`.
pub fn bytes(bytes: f64) -> String {
    with_unit(bytes, &["B", "KiB", "MiB", "GiB", "TiB"], 1024.0)
}

/// A rate with a decimal prefix and the unit after it: `1.2 M tokens/s`.
pub fn rate(per_second: f64, unit: &str) -> String {
    if !per_second.is_finite() {
        return NONE.to_owned();
    }
    let text = with_unit(per_second, &["", "K", "M", "G", "T"], 1000.0);
    // A prefix is joined to a unit symbol, as in "1.2 GB/s", but not to a word, as in "1.2 M tokens/s".
    let joint = if unit.starts_with(|c: char| c.is_ascii_uppercase())
        && text.ends_with(|c: char| c.is_ascii_alphabetic())
    {
        ""
    } else {
        "\u{202f}"
    };
    format!("{text}{joint}{unit}")
}

/// Per cent with two significant digits: `63 %`, `0.042 %`.
pub fn percent(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let decimals = if value > 0.0 { (1.0 - value.log10().floor()).clamp(0.0, 6.0) as usize } else { 0 };
    format!("{value:.decimals$}\u{202f}%")
}

/// A sequence length in full: `16,384`.
pub fn length(length: f64) -> String {
    if length.is_finite() { group(&format!("{:.0}", length.round())) } else { NONE.to_owned() }
}

/// A sequence length for an axis: `512`, `1K`, `16K`, `1M`; in full where it is not a round multiple of 1,024.
pub fn length_short(value: u32) -> String {
    const K: u32 = 1 << 10;
    const M: u32 = 1 << 20;
    match value {
        0 => "0".to_owned(),
        value if value.is_multiple_of(M) => format!("{}M", value / M),
        value if value.is_multiple_of(K) => format!("{}K", value / K),
        value => length(f64::from(value)),
    }
}

/// An estimated length, rounded to two digits: `1,100`.
pub fn length_about(value: f64) -> String {
    if !value.is_finite() || value <= 0.0 {
        return NONE.to_owned();
    }
    let step = 10_f64.powf(value.log10().floor() - 1.0).max(1.0);
    length((value / step).round() * step)
}

/// The length of a crossover: `≈ 1,100`, or `≤ 256` for a bound.
pub fn crossover_length(estimate: f64, kind: report::CrossoverKind) -> String {
    match kind {
        report::CrossoverKind::AtMost => format!("≤ {}", length(estimate)),
        _ => format!("≈ {}", length_about(estimate)),
    }
}

/// A factor: `12×`, `1.4×`, `0.52×`; near 1 with as many digits as distinguish it from 1: `1.03×`, `0.97×`, `1.004×`.
pub fn ratio(ratio: f64) -> String {
    if !ratio.is_finite() || ratio <= 0.0 {
        return NONE.to_owned();
    }
    let near = (0.9..1.1).contains(&ratio);
    let text = if near { report::units::ratio(ratio) } else { significant(ratio, 2) };
    format!("{text}×")
}

/// An interval of factors: `0.97–1.04×`.
pub fn ratios(low: f64, high: f64) -> String {
    format!("{}–{}", ratio(low).trim_end_matches('×'), ratio(high))
}

/// An exponent: `1.98`.
pub fn exponent(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { NONE.to_owned() }
}

/// A deviation: `3.1e-7`.
pub fn deviation(value: f64) -> String {
    if !value.is_finite() {
        NONE.to_owned()
    } else if value == 0.0 {
        "0".to_owned()
    } else {
        format!("{value:.1e}")
    }
}

/// Whole seconds or minutes, for the remaining time of a race: `8 s`, `2 min`.
pub fn rough_time(ms: f64) -> String {
    if !ms.is_finite() {
        return NONE.to_owned();
    }
    let seconds = (ms.max(0.0) / 1000.0).ceil();
    if seconds < 90.0 {
        format!("{seconds:.0}{SPACE}s")
    } else {
        let minutes = significant(seconds / 60.0, 2);
        format!("{}{SPACE}min", minutes.strip_suffix(".0").unwrap_or(&minutes))
    }
}

#[cfg(test)]
mod tests {
    use report::CrossoverKind;

    use super::*;

    fn plain(text: &str) -> String {
        text.replace(SPACE, " ")
    }

    #[test]
    fn times_pick_their_unit_and_keep_three_digits() {
        for (ms, expected) in [
            (0.0, "0 ns"),
            (0.000_5, "500 ns"),
            (0.012_34, "12.3 µs"),
            (0.999_96, "1.00 ms"),
            (1.234, "1.23 ms"),
            (9.996, "10.0 ms"),
            (840.0, "840 ms"),
            (12_400.0, "12.4 s"),
            (119_000.0, "119 s"),
            (200_000.0, "3 min 20 s"),
        ] {
            assert_eq!(plain(&time(ms)), expected, "{ms}");
        }
    }

    #[test]
    fn percent_keeps_two_digits() {
        for (value, expected) in
            [(0.042, "0.042 %"), (6.31, "6.3 %"), (63.4, "63 %"), (104.0, "104 %"), (0.0, "0 %")]
        {
            assert_eq!(percent(value).replace('\u{202f}', " "), expected);
        }
    }

    #[test]
    fn non_finite_numbers_are_printed_as_a_dash() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(time(bad), NONE);
            assert_eq!(bytes(bad), NONE);
            assert_eq!(rate(bad, "tokens/s"), NONE);
            assert_eq!(length(bad), NONE);
            assert_eq!(length_about(bad), NONE);
            assert_eq!(ratio(bad), NONE);
            assert_eq!(exponent(bad), NONE);
            assert_eq!(deviation(bad), NONE);
            assert_eq!(rough_time(bad), NONE);
        }
        assert_eq!(ratio(0.0), NONE);
    }

    #[test]
    fn lengths_are_grouped_or_shortened() {
        assert_eq!(length(16_384.0), "16,384");
        assert_eq!(length(256.0), "256");
        assert_eq!(length(1_048_576.0), "1,048,576");
        assert_eq!(length_short(512), "512");
        assert_eq!(length_short(1024), "1K");
        assert_eq!(length_short(65_536), "64K");
        assert_eq!(length_short(1 << 20), "1M");
        assert_eq!(length_short(1500), "1,500");
        assert_eq!(length_about(1_127.0), "1,100");
        assert_eq!(length_about(87.4), "87");
        assert_eq!(length_about(3.6), "4");
        assert_eq!(crossover_length(1_127.0, CrossoverKind::Measured), "≈ 1,100");
        assert_eq!(crossover_length(1_127.0, CrossoverKind::AtMost), "≤ 1,127");
    }

    #[test]
    fn rates_bytes_and_factors() {
        assert_eq!(plain(&rate(1_234_567.0, "tokens/s")), "1.23 M tokens/s");
        assert_eq!(plain(&rate(1.5e9, "B/s")), "1.50 GB/s");
        assert_eq!(plain(&rate(31.0, "tokens/s")), "31.0 tokens/s");
        assert_eq!(plain(&bytes(1536.0)), "1.50 KiB");
        assert_eq!(ratio(12.3), "12×");
        assert_eq!(ratio(1.44), "1.4×");
        assert_eq!(ratio(0.517), "0.52×");
        assert_eq!(ratio(1234.0), "1,234×");
        for (factor, expected) in
            [(1.0304, "1.03×"), (1.0957, "1.10×"), (1.1, "1.1×"), (0.9712, "0.97×"), (1.002, "1.002×")]
        {
            assert_eq!(ratio(factor), expected);
        }
        assert_eq!(ratios(0.97, 1.04), "0.97–1.04×");
        assert_eq!(ratios(0.61, 23.7), "0.61–24×");
        assert_eq!(deviation(3.14e-7), "3.1e-7");
        assert_eq!(plain(&rough_time(7_200.0)), "8 s");
        assert_eq!(plain(&rough_time(150_000.0)), "2.5 min");
        assert_eq!(plain(&rough_time(120_000.0)), "2 min");
    }
}
