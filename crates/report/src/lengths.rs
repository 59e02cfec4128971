//! Parses sequence lengths and whole numbers in user input: one grammar for the page, embedded races, the API and the
//! command line.
//!
//! ```text
//! lengths   = item { separator item }
//! item      = number | number to number          a range doubles: 256..2048 is 256, 512, 1024, 2048
//! to        = ".." | "…" | "–" | "—" | "-"       with or without blanks around it
//! separator = { "," | ";" | "、" | blank }       also in full width
//! number    = digits | digits ("k" | "K") | digits ("m" | "M") | digits ("e" | "E") digits
//! digits    = "0"…"9" { "0"…"9" }                no zero in front; "_" may stand between groups of three
//! ```
//!
//! `K` is 1,024 and `M` is 1,048,576; `1e3` is 1,000. Lengths may be in any order, and duplicates are dropped.
//!
//! A comma or a blank may also be a thousands separator. Where exactly three digits follow one to three digits and a
//! single such character (`1,024`, `16 384`), the text is a list only if the second number is a plausible next length:
//! no leading zero, larger than the first number, at most eight times as large, and the two numbers joined are no power
//! of two. Otherwise the text is refused, and the error states the number that was probably meant. A comma with a
//! blank, or a semicolon, always separates lengths: `16, 384` is a list. [`lengths_text`] writes that form.

use std::fmt::Write as _;

use mixer::{Allowed, Problem};
use race::RaceSpec;

use crate::ConfigError;

/// Largest ratio between successive lengths that are separated by a comma or a blank alone.
const MAX_STEP: u64 = 8;

/// Longest part of a text that is quoted in an error, in characters.
const MAX_QUOTED: usize = 40;

/// Why a text is not a list of sequence lengths.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LengthsError {
    /// A word that is not a length.
    #[error(
        "`{word}` is not a sequence length; enter whole numbers from 1 to {max}, such as 256..16384 or 256, 384, 512"
    )]
    Word {
        /// The word, shortened; empty where the text has no length.
        word: String,
        /// The greatest length.
        max: u64,
    },
    /// A descending range.
    #[error("a range goes from short to long: {to}..{from}, not {from}..{to}")]
    Order {
        /// Its first length.
        from: u64,
        /// Its second, smaller length.
        to: u64,
    },
    /// A comma or a blank that is probably a thousands separator.
    #[error("did you mean {meant}? Write thousands without a separator, and separate lengths as {apart}")]
    Thousands {
        /// The number without the separator.
        meant: u64,
        /// The parts as separate lengths, in the form that is never ambiguous.
        apart: String,
    },
    /// More lengths than a race may have.
    #[error("at most {limit} sequence lengths are accepted, got {got}")]
    TooMany {
        /// Most lengths accepted.
        limit: usize,
        /// Number of different lengths counted before reading stopped.
        got: usize,
    },
}

impl ConfigError {
    /// Converts the error of a text of lengths in this field.
    pub(crate) fn of_lengths(field: &'static str, error: LengthsError) -> Self {
        match error {
            LengthsError::Word { word, max } => {
                let low = 1;
                Self::invalid(field, Allowed::Whole { low, high: max }, format!("\"{word}\""))
            }
            LengthsError::TooMany { limit, got } => Self::TooMany { field: field.to_owned(), limit, got },
            LengthsError::Order { from, to } => Self::LengthsOrder { field: field.to_owned(), from, to },
            LengthsError::Thousands { meant, apart } => {
                Self::Thousands { field: field.to_owned(), meant, apart }
            }
        }
    }
}

/// `256..16384` where lengths double, otherwise a list separated by a comma and a blank. [`parse_lengths`] can read
/// both.
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

/// Parses sequence lengths: ascending, without duplicates, 1 to [`RaceSpec::MAX_LENGTHS`] lengths of 1 to
/// [`Problem::MAX_SEQ_LEN`]. The module's documentation has the grammar.
///
/// # Errors
/// [`LengthsError`] for the first invalid part.
pub fn parse_lengths(typed: &str) -> Result<Vec<u32>, LengthsError> {
    let plain = plain(typed);
    let words = words(&plain);
    refuse_thousands(&words)?;
    let mut lengths = Vec::new();
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        if word.text == TO {
            // A range without a start, or a negative number.
            return refused(typed);
        }
        if rest.next_if(|next| next.text == TO).is_some() {
            let to = rest.next().filter(|to| to.text != TO);
            let (from, to) = (length(word.text)?, to.map_or_else(|| refused(typed), |to| length(to.text))?);
            if from > to {
                return Err(LengthsError::Order { from: u64::from(from), to: u64::from(to) });
            }
            let doubled = std::iter::successors(Some(from), |length| length.checked_mul(2));
            lengths.extend(doubled.take_while(|length| *length <= to));
        } else {
            lengths.push(length(word.text)?);
        }
        if lengths.len() > 4 * RaceSpec::MAX_LENGTHS {
            break;
        }
    }
    lengths.sort_unstable();
    lengths.dedup();
    match lengths.len() {
        0 => refused(""),
        got if got > RaceSpec::MAX_LENGTHS => {
            Err(LengthsError::TooMany { limit: RaceSpec::MAX_LENGTHS, got })
        }
        _ => Ok(lengths),
    }
}

/// Parses a single whole number, such as a width or a seed. Unlike in a list, thousands separators are accepted: a
/// comma, a blank, an apostrophe or `_`.
pub fn parse_whole(typed: &str) -> Option<u64> {
    let plain = plain(typed);
    let mut groups = plain.trim().split([',', ' ', '\'', '\u{2019}']);
    let first = groups.next().unwrap_or_default();
    let mut joined = first.to_owned();
    for group in groups {
        let grouped = (1..=3).contains(&first.len()) && group.len() == 3;
        if !grouped || first == "0" || !first.bytes().chain(group.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        joined.push_str(group);
    }
    number(&joined)
}

/// The range mark in [`plain`] text.
const TO: &str = "..";

/// The text with alternative spellings unified: blanks, commas, digits, range marks.
fn plain(typed: &str) -> String {
    let mut plain = String::with_capacity(typed.len());
    for character in typed.chars() {
        match character {
            '０'..='９' => {
                plain.extend(char::from_digit(character as u32 - '０' as u32, 10));
            }
            '，' => plain.push(','),
            '；' | '、' => plain.push(';'),
            '…' | '–' | '—' | '-' | '－' | '～' | '~' => plain.push_str(TO),
            // Zero-width characters, which often come with copied text.
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {}
            character if character.is_whitespace() => plain.push(' '),
            character => plain.push(character),
        }
    }
    plain
}

/// A number, a range mark or anything else between separators.
struct Word<'a> {
    text: &'a str,
    /// Whether only one comma or one blank separates it from the preceding word.
    close: bool,
}

fn words(plain: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut before = "";
    let mut rest = plain;
    while !rest.is_empty() {
        let end = if rest.starts_with(TO) {
            rest.find(|c| c != '.').unwrap_or(rest.len())
        } else {
            let separator = rest.find([',', ';', ' ']).unwrap_or(rest.len());
            rest.find(TO).map_or(separator, |to| to.min(separator))
        };
        let (text, after) = rest.split_at(end);
        if !text.is_empty() {
            // `...` is a range mark, too.
            let text = if text.starts_with(TO) { TO } else { text };
            words.push(Word { text, close: matches!(before, "," | " ") });
        }
        rest = after.trim_start_matches([',', ';', ' ']);
        before = after.get(..after.len() - rest.len()).unwrap_or_default();
    }
    words
}

/// Refuses a comma or a blank that is more probably a thousands separator than a list separator.
fn refuse_thousands(words: &[Word]) -> Result<(), LengthsError> {
    let is_group = |word: &Word| word.close && word.text.len() == 3 && is_digits(word.text);
    for (index, pair) in words.windows(2).enumerate() {
        let [first, second] = pair else { continue };
        if !is_group(second) || !is_digits(first.text) || first.text.len() > 3 {
            continue;
        }
        let (Ok(low), Ok(high)) = (first.text.parse::<u64>(), second.text.parse::<u64>()) else { continue };
        let joined = low * 1000 + high;
        let is_list = !second.text.starts_with('0')
            && low < high
            && high <= MAX_STEP * low
            && !joined.is_power_of_two();
        if is_list {
            continue;
        }
        // Millions have two groups of three digits.
        let mut meant = joined;
        let mut apart = format!("{low}, {high}");
        for group in words.iter().skip(index + 2).take_while(|word| is_group(word)) {
            let (Ok(high), Some(longer)) = (group.text.parse::<u64>(), meant.checked_mul(1000)) else {
                break;
            };
            if longer + high > Problem::MAX_SEQ_LEN as u64 {
                break;
            }
            meant = longer + high;
            let _ = write!(apart, ", {high}");
        }
        return Err(LengthsError::Thousands { meant, apart });
    }
    Ok(())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Parses a length and checks its range.
fn length(word: &str) -> Result<u32, LengthsError> {
    if let Some(value) = number(word).filter(|value| (1..=Problem::MAX_SEQ_LEN as u64).contains(value)) {
        return Ok(value as u32);
    }
    // `16.384` and `16'384` contain thousands separators.
    let joined: String = word.chars().filter(|c| !matches!(c, '.' | '\'' | '\u{2019}')).collect();
    let groups: Vec<&str> = word.split(['.', '\'', '\u{2019}']).collect();
    let is_grouped = groups.len() > 1 && groups.iter().skip(1).all(|group| group.len() == 3);
    match number(&joined) {
        Some(meant) if is_grouped && meant <= Problem::MAX_SEQ_LEN as u64 => {
            Err(LengthsError::Thousands { meant, apart: groups.join(", ") })
        }
        _ => refused(word),
    }
}

fn refused<T>(word: &str) -> Result<T, LengthsError> {
    Err(LengthsError::Word { word: mixer::text::clean(word, MAX_QUOTED), max: Problem::MAX_SEQ_LEN as u64 })
}

/// Parses `number` of the grammar, and 0.
fn number(word: &str) -> Option<u64> {
    let (digits, factor) = if let Some(digits) = word.strip_suffix(['k', 'K']) {
        (digits, 1 << 10)
    } else if let Some(digits) = word.strip_suffix(['m', 'M']) {
        (digits, 1 << 20)
    } else if let Some((digits, zeros)) = word.split_once(['e', 'E']) {
        let zeros = Some(zeros).filter(|zeros| is_digits(zeros))?;
        (digits, 10_u64.checked_pow(zeros.parse().ok()?)?)
    } else {
        (word, 1)
    };
    let mut groups = digits.split('_');
    let first = groups.next().filter(|first| is_digits(first))?;
    let is_grouped = digits.contains('_');
    if first.len() > 1 && first.starts_with('0') || is_grouped && (first.len() > 3 || first == "0") {
        return None;
    }
    let mut value = first.parse::<u64>().ok()?;
    for group in groups {
        let group = Some(group).filter(|group| group.len() == 3 && is_digits(group))?;
        value = value.checked_mul(1000)?.checked_add(group.parse().ok()?)?;
    }
    value.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_the_grammar_is_read() {
        for (typed, lengths) in [
            ("256..2048", vec![256, 512, 1024, 2048]),
            ("256 .. 2048", vec![256, 512, 1024, 2048]),
            ("256...2048", vec![256, 512, 1024, 2048]),
            ("256…1000", vec![256, 512]),
            ("256–1024", vec![256, 512, 1024]),
            ("256 - 1024", vec![256, 512, 1024]),
            ("1k..4K", vec![1024, 2048, 4096]),
            ("16K", vec![16_384]),
            ("1M", vec![1_048_576]),
            ("1e3", vec![1000]),
            ("16_384", vec![16_384]),
            ("1_048_576", vec![1_048_576]),
            (" 512, 300;100, ", vec![100, 300, 512]),
            ("512\t1024\n3000", vec![512, 1024, 3000]),
            ("２５６，５１２；７６８、１０２４", vec![256, 512, 768, 1024]),
            ("256, 256, 128..256", vec![128, 256]),
            ("\u{feff}256\u{200b}", vec![256]),
            ("1", vec![1]),
        ] {
            assert_eq!(parse_lengths(typed), Ok(lengths), "{typed:?}");
        }
    }

    #[test]
    fn separated_thousands_are_refused_with_a_suggestion() {
        for (typed, number, list) in [
            ("16,384", 16_384, "16, 384"),
            ("16 384", 16_384, "16, 384"),
            ("16\u{a0}384", 16_384, "16, 384"),
            ("16\u{202f}384", 16_384, "16, 384"),
            ("16，384", 16_384, "16, 384"),
            ("16.384", 16_384, "16, 384"),
            ("16'384", 16_384, "16, 384"),
            ("1,024", 1024, "1, 24"),
            ("1,024, 2,048", 1024, "1, 24"),
            ("512, 1,024", 1024, "1, 24"),
            ("512,1,024", 1024, "1, 24"),
            ("256..1,024", 1024, "1, 24"),
            ("1,024..16,384", 1024, "1, 24"),
            ("1,500", 1500, "1, 500"),
            ("8,192", 8192, "8, 192"),
            ("65,536", 65_536, "65, 536"),
            ("131,072", 131_072, "131, 72"),
            ("262,144", 262_144, "262, 144"),
            ("1,048,576", 1_048_576, "1, 48, 576"),
        ] {
            let error = parse_lengths(typed).unwrap_err();
            assert_eq!(error, LengthsError::Thousands { meant: number, apart: list.to_owned() }, "{typed:?}");
            assert!(error.to_string().contains(&format!("did you mean {number}?")), "{error}");
        }
    }

    #[test]
    fn lists_of_three_digit_lengths_stay_lists() {
        for (typed, lengths) in [
            ("64,128", vec![64, 128]),
            ("64,128,256", vec![64, 128, 256]),
            ("100 200", vec![100, 200]),
            ("16,32,64,128,256,512,1024", vec![16, 32, 64, 128, 256, 512, 1024]),
            ("64 512", vec![64, 512]),
            ("128,256,512,768", vec![128, 256, 512, 768]),
            ("16, 384", vec![16, 384]),
            ("16;384", vec![16, 384]),
            ("512, 300", vec![300, 512]),
            ("1024,128", vec![128, 1024]),
            ("64,128..512", vec![64, 128, 256, 512]),
        ] {
            assert_eq!(parse_lengths(typed), Ok(lengths), "{typed:?}");
        }
    }

    #[test]
    fn invalid_lengths_are_refused() {
        for bad in [
            "",
            " , ",
            "0",
            "-1",
            "0..8",
            "x",
            "1..x",
            "..",
            "1..",
            "..8",
            "1..2..4",
            "1048577",
            "4294967295",
            "9999999k",
            "1.5",
            "1e",
            "e3",
            "1e30",
            "K",
            "007",
            "1_0",
            "1__000",
            "NaN",
            "-5..5",
            "0_100",
            "2M",
            "18446744073709551616",
            "1..18446744073709551615",
        ] {
            assert!(parse_lengths(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_lengths("2048..512"), Err(LengthsError::Order { from: 2048, to: 512 }));
        let many = (1..=33).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
        assert_eq!(parse_lengths(&many), Err(LengthsError::TooMany { limit: 32, got: 33 }));
        assert!(parse_lengths(&"1 ".repeat(100_000)).is_ok());
        let long = parse_lengths(&"x".repeat(100_000)).unwrap_err().to_string();
        assert!(long.len() < 300, "{}", long.len());
    }

    #[test]
    fn single_numbers_may_have_separated_thousands() {
        for (typed, value) in [
            ("0", 0),
            (" 64 ", 64),
            ("1,024", 1024),
            ("1 024", 1024),
            ("1\u{202f}024", 1024),
            ("1'024", 1024),
            ("4,294,967,295", 4_294_967_295),
            ("1K", 1024),
            ("1e3", 1000),
            ("１２８", 128),
        ] {
            assert_eq!(parse_whole(typed), Some(value), "{typed:?}");
        }
        for bad in [
            "", "1,5", "4,8", "2.5", "1,02", "0,100", "1,0245", "-1", "+1", "abc", "1,,024", "1e-3",
            "64..128",
        ] {
            assert_eq!(parse_whole(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn written_lengths_are_read_back(lengths in proptest::collection::btree_set(1_u32..=1_048_576, 1..=32)) {
            let lengths: Vec<u32> = lengths.into_iter().collect();
            prop_assert_eq!(parse_lengths(&lengths_text(&lengths)), Ok(lengths));
        }

        #[test]
        fn any_text_is_read_or_refused(typed in "[0-9kKeM,;. …–_'a-z-]{0,40}") {
            if let Ok(lengths) = parse_lengths(&typed) {
                prop_assert!(lengths.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", lengths);
                prop_assert!((1..=32).contains(&lengths.len()));
            }
        }

        #[test]
        fn grouped_thousands_are_never_taken_apart(value in 1000_u32..=99_999) {
            let grouped = format!("{},{:03}", value / 1000, value % 1000);
            // The result is a list that rises at most eightfold, never a jump from the thousands to the remaining
            // digits.
            if let Ok(lengths) = parse_lengths(&grouped) {
                prop_assert!(lengths[1] <= 8 * lengths[0] && !value.is_power_of_two(), "{}", grouped);
            }
        }
    }
}
