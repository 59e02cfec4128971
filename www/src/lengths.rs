//! Sequence lengths as people type them: `256..16384` doubles, `256, 384, 512` is a list, `16K` is 16,384.

use mixer::Problem;

use crate::format;
use crate::text::Text;

/// Most lengths in a race.
pub const MAX_LENGTHS: usize = 32;

/// `256..16384` where lengths double, the list otherwise.
pub fn lengths_text(lengths: &[u32]) -> String {
    match lengths {
        [first, .., last]
            if lengths.len() > 2 && lengths.windows(2).all(|pair| pair[1] == pair[0].saturating_mul(2)) =>
        {
            format!("{first}..{last}")
        }
        _ => lengths.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// Lengths from text: single lengths and doubling ranges, separated by commas or spaces; sorted, each once.
///
/// # Errors
/// A message for people.
pub fn parse_lengths(typed: &str, text: &Text) -> Result<Vec<u32>, String> {
    const MAX: u32 = Problem::MAX_SEQ_LEN as u32;
    let refuse = || (text.error_lengths)(&format::length(f64::from(MAX)));
    let one = |part: &str| -> Result<u32, String> {
        // 16K and 16k are how people write lengths.
        let (digits, factor) = match part.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1024),
            None => (part, 1),
        };
        digits
            .parse::<u32>()
            .ok()
            .and_then(|value| value.checked_mul(factor))
            .filter(|value| (1..=MAX).contains(value))
            .ok_or_else(refuse)
    };
    let mut lengths = Vec::new();
    for part in
        typed.split(|c: char| c == ',' || c == ';' || c.is_whitespace()).filter(|part| !part.is_empty())
    {
        if let Some((from, to)) = part.split_once("..").or_else(|| part.split_once('–')) {
            let (from, to) = (one(from)?, one(to)?);
            if from > to {
                return Err(text.error_lengths_order.to_owned());
            }
            let mut length = from;
            while length <= to {
                lengths.push(length);
                length = length.saturating_mul(2);
            }
        } else {
            lengths.push(one(part)?);
        }
        if lengths.len() > 4 * MAX_LENGTHS {
            break;
        }
    }
    lengths.sort_unstable();
    lengths.dedup();
    match lengths.len() {
        0 => Err(refuse()),
        n if n > MAX_LENGTHS => Err((text.error_too_many_lengths)(MAX_LENGTHS)),
        _ => Ok(lengths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::ENGLISH;

    #[test]
    fn lengths_are_ranges_or_lists() {
        let parse = |typed: &str| parse_lengths(typed, &ENGLISH);
        assert_eq!(parse("256..2048"), Ok(vec![256, 512, 1024, 2048]));
        assert_eq!(parse(" 512, 300;300 100 "), Ok(vec![100, 300, 512]));
        assert_eq!(parse("1k..4K"), Ok(vec![1024, 2048, 4096]));
        assert_eq!(parse("1"), Ok(vec![1]));
        assert_eq!(parse("256..1000"), Ok(vec![256, 512]));
        for bad in
            ["", "0", "-1", "0..8", "x", "1..x", "2048..256", "1048577", "4294967295", "9999999k", "1.5"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let many = (1..=33).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert!(parse(&many).unwrap_err().contains("32"));
        assert_eq!(lengths_text(&[256, 512, 1024]), "256..1024");
        assert_eq!(lengths_text(&[256, 512]), "256, 512");
    }
}
