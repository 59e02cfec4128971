//! Formats numbers for tables and exports.

/// A time with three significant digits and its unit.
pub fn time(ms: f64) -> String {
    let (value, unit) = match ms {
        ms if ms < 1e-3 => (ms * 1e6, "ns"),
        ms if ms < 1.0 => (ms * 1e3, "µs"),
        ms if ms < 1e3 => (ms, "ms"),
        ms => (ms / 1e3, "s"),
    };
    format!("{} {unit}", significant(value))
}

/// Three significant digits without an exponent; two for numbers below a tenth, at most five decimals.
pub fn significant(value: f64) -> String {
    let decimals = match value.abs() {
        value if value >= 99.95 => 0,
        value if value >= 9.995 => 1,
        value if value >= 0.0995 => 2,
        value if value >= 0.00995 => 3,
        value if value >= 0.000_995 => 4,
        _ => 5,
    };
    format!("{value:.decimals$}")
}

/// A ratio of two times: three significant digits, and for a ratio near 1 as many as distinguish it from 1.
pub fn ratio(value: f64) -> String {
    if (0.9..1.1).contains(&value) {
        let decimals = if (value - 1.0).abs() < 0.0095 { 3 } else { 2 };
        return format!("{value:.decimals$}");
    }
    significant(value)
}

/// A length with thousands separators.
pub fn length(value: f64) -> String {
    if value >= 1e9 {
        return format!("{value:.1e}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit() {
        for (ms, text) in [
            (0.000_001, "1.00 ns"),
            (0.000_5, "500 ns"),
            (0.012_34, "12.3 µs"),
            (1.234, "1.23 ms"),
            (99.99, "100 ms"),
            (123.4, "123 ms"),
            (12_345.0, "12.3 s"),
        ] {
            assert_eq!(time(ms), text);
        }
    }

    #[test]
    fn small_ratios_keep_two_digits() {
        for (value, text) in
            [(1.0, "1.00"), (0.123, "0.12"), (0.0234, "0.023"), (0.003_64, "0.0036"), (1e-9, "0.00000")]
        {
            assert_eq!(significant(value), text);
        }
    }

    #[test]
    fn ratios_near_1_differ_from_1() {
        for (value, text) in [
            (1.0, "1.000"),
            (1.0034, "1.003"),
            (0.9949, "0.995"),
            (1.0304, "1.03"),
            (0.9712, "0.97"),
            (1.349, "1.35"),
            (0.000_68, "0.00068"),
            (147.1, "147"),
        ] {
            assert_eq!(ratio(value), text);
        }
    }

    #[test]
    fn lengths_have_thousands_apart() {
        for (value, text) in [(7.0, "7"), (999.6, "1,000"), (16_384.0, "16,384"), (1_048_576.0, "1,048,576")]
        {
            assert_eq!(length(value), text);
        }
        assert_eq!(length(2.5e12), "2.5e12");
    }
}
