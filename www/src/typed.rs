//! Parses typed numbers with the JSON parser that the page contains anyway. The standard library's parser would add 10
//! kB of tables.

/// Parses a finite decimal number, with or without an exponent.
pub fn number(typed: &str) -> Option<f64> {
    let typed = typed.trim();
    let (sign, rest) = match typed.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", typed.strip_prefix('+').unwrap_or(typed)),
    };
    // JSON requires digits on both sides of a point and forbids leading zeros.
    let end = rest.find(['e', 'E']).unwrap_or(rest.len());
    let (digits, exponent) = rest.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || whole.starts_with(['-', '+']) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    let value: f64 = serde_json::from_str(&format!("{sign}{whole}.{fraction}{exponent}")).ok()?;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_with_the_standard_parser() {
        let texts = [
            "0",
            "-0",
            "7",
            "007",
            "+3",
            "-2.5",
            ".5",
            "-.25",
            "5.",
            "1e3",
            "1.5E-3",
            "+.5e+2",
            "0.1",
            "1e400",
            "16777217.000001",
            "",
            "-",
            ".",
            "e5",
            "+-3",
            "--3",
            "1..2",
            "1.2.3",
            "1e",
            "inf",
            "NaN",
            "0x10",
            "1_000",
            "1,5",
            "3 4",
            "true",
            "\"3\"",
            "[1]",
            ".e1",
            "1.-2",
            "-+1",
        ];
        for text in texts {
            let library = text.parse::<f64>().ok().filter(|value| value.is_finite());
            assert_eq!(number(text).map(f64::to_bits), library.map(f64::to_bits), "{text:?}");
        }
        assert_eq!(number(" 12 "), Some(12.0));
    }
}
