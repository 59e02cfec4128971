//! Recovers links that mail and chat programs altered.
//!
//! The text after `#r=` consists of letters, digits, `-` and `_`, and ends with a checksum, so a guess is cheap to
//! verify. Letters are collected, ignoring all other characters between them, up to every position where the link may
//! end, and the first reading with a matching checksum is the link. This covers punctuation, brackets and further
//! settings after a link, wrapped lines with or without quotation marks, and invisible characters. Escapes
//! (quoted-printable, per cent signs up to three times, HTML) are undone first where the text has any.
//!
//! A checksum of 32 bits accepts one wrong reading in four billion. Links that can be read unchanged never reach this
//! module.

use std::borrow::Cow;

use super::MAX_LINK_BYTES;

/// Most times that per cent escapes are undone: a link, escaped by a mail program, within the address of a mail filter.
const MAX_ESCAPES: usize = 3;

/// Most letters read for one text, counting each reading. A link of 2,000 characters, wrapped at 76 columns, takes
/// 54,000.
const MAX_LETTERS: usize = 4 << 20;

/// Most emphasis characters that may close a link in Markdown. They are valid letters of a link.
const MAX_EMPHASIS: usize = 3;

/// For each mark `#r=` in `text`, the link that follows it, in order and without duplicates; `None` where no reading is
/// accepted. Text without a mark is one link if it begins like one. `accepts` decides whether letters, from the version
/// on, are a link with a matching checksum.
pub(super) fn repaired(text: &str, accepts: &dyn Fn(&str) -> bool) -> Vec<Option<String>> {
    let mut failed = Vec::new();
    for text in readings(text) {
        let mut letters_left = MAX_LETTERS;
        let mut found: Vec<Option<String>> = Vec::new();
        for segment in segments(&text) {
            let link = link_in(segment, accepts, &mut letters_left);
            if link.is_none() || !found.contains(&link) {
                found.push(link);
            }
        }
        if found.iter().any(Option::is_some) {
            // Mail programs may write a link twice, the visible one shortened.
            if found.len() == 2 {
                found.retain(Option::is_some);
            }
            return found;
        }
        if failed.is_empty() {
            failed = found;
        }
    }
    failed
}

/// Whether `text` contains the mark of a link, escaped or not.
pub(super) fn is_marked(text: &str) -> bool {
    readings(text).iter().any(|text| !marks(text).is_empty())
}

/// `text` unchanged and with its escapes undone, without duplicates.
fn readings(text: &str) -> Vec<Cow<'_, str>> {
    let mut all: Vec<Cow<str>> = vec![Cow::Borrowed(text)];
    let mut add = |reading: String| {
        if all.iter().all(|other| *other != reading) {
            all.push(Cow::Owned(reading));
        }
    };
    for start in [text.to_owned(), without_quoted_printable(text)] {
        let mut reading = start;
        for _ in 0..MAX_ESCAPES {
            add(reading.clone());
            reading = without_escapes(&reading);
        }
        add(reading);
    }
    all
}

/// The parts of `text` that may each contain a link: from after a mark to the next mark.
fn segments(text: &str) -> Vec<&str> {
    let marks = marks(text);
    if marks.is_empty() {
        let start = text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let start = start.strip_prefix("r=").unwrap_or(start);
        return if start.starts_with(|c: char| c.is_ascii_digit()) { vec![start] } else { Vec::new() };
    }
    let ends = marks.iter().skip(1).map(|(start, _)| *start).chain([text.len()]);
    marks.iter().zip(ends).filter_map(|((_, from), to)| text.get(*from..to)).collect()
}

/// Start and end of each mark. Blanks, line ends and invisible characters may be inside.
fn marks(text: &str) -> Vec<(usize, usize)> {
    let mut marks = Vec::new();
    for (start, sign) in text.char_indices() {
        // Mail filters may replace the `#` of an address by `*`.
        if !matches!(sign, '#' | '*' | '＃') {
            continue;
        }
        let mut rest = text.get(start + sign.len_utf8()..).unwrap_or_default();
        let mut next = || {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '>' || is_invisible(c));
            let character = rest.chars().next()?;
            rest = rest.get(character.len_utf8()..)?;
            Some(character)
        };
        if next() == Some('r') && next() == Some('=') {
            marks.push((start, text.len() - rest.len()));
        }
    }
    marks
}

/// Zero-width characters, which chat programs and editors insert into long words.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// The link at the start of a segment.
fn link_in(segment: &str, accepts: &dyn Fn(&str) -> bool, letters_left: &mut usize) -> Option<String> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut link = String::new();
    for run in segment.split(|c| !is_letter(c)).filter(|run| !run.is_empty()) {
        link.push_str(run);
        if link.len() > MAX_LINK_BYTES {
            return None;
        }
        let mut reading = link.as_str();
        for _ in 0..=MAX_EMPHASIS {
            *letters_left = letters_left.checked_sub(reading.len())?;
            if accepts(reading) {
                return Some(reading.to_owned());
            }
            let Some(shorter) = reading.strip_suffix(['_', '-']) else { break };
            reading = shorter;
        }
    }
    None
}

/// Undoes quoted-printable (RFC 2045): `=3D` and soft line ends.
fn without_quoted_printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        plain.push_str(before);
        let line = after.trim_start_matches([' ', '\t']);
        if let Some(next) = line.strip_prefix("\r\n").or_else(|| line.strip_prefix('\n')) {
            rest = next;
        } else if let Some((character, next)) = hex(after) {
            plain.push(character);
            rest = next;
        } else {
            plain.push('=');
            rest = after;
        }
    }
    plain.push_str(rest);
    plain
}

/// Undoes per cent escapes and HTML's character references for the characters of an address and its mark.
fn without_escapes(text: &str) -> String {
    const NAMES: [(&str, char); 8] = [
        ("amp;", '&'),
        ("num;", '#'),
        ("equals;", '='),
        ("lowbar;", '_'),
        ("#35;", '#'),
        ("#x23;", '#'),
        ("#61;", '='),
        ("#x3D;", '='),
    ];
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '&']) {
        let (before, after) = rest.split_at(at);
        plain.push_str(before);
        let sign = if after.starts_with('%') { '%' } else { '&' };
        let after = after.get(1..).unwrap_or_default();
        let named =
            || NAMES.iter().find_map(|(name, character)| Some((*character, after.strip_prefix(name)?)));
        let undone = if sign == '%' { hex(after) } else { named() };
        let (character, next) = undone.unwrap_or((sign, after));
        plain.push(character);
        rest = next;
    }
    plain.push_str(rest);
    plain
}

/// The ASCII character encoded by two hexadecimal digits, and the text after them.
fn hex(text: &str) -> Option<(char, &str)> {
    let digits = text.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let byte = u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)?;
    Some((char::from(byte), text.get(2..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::testing::report;
    use crate::{Config, LinkError, Linked, decode_link, decode_links, encode_config_link, encode_link};

    /// A long link and a short one, with the site before them.
    fn links() -> Vec<(String, Linked)> {
        let report = report();
        let link = encode_link(&report).unwrap();
        let linked = decode_link(&link).unwrap();
        let config = encode_config_link(&Config::default()).unwrap();
        [(link, linked), (config, Linked::Config(Config::default()))]
            .map(|(link, linked)| (format!("https://example.org/crossover/{link}"), linked))
            .into()
    }

    fn wrapped(text: &str, columns: usize, end: &str) -> String {
        let lines: Vec<&str> =
            text.as_bytes().chunks(columns).map(|line| std::str::from_utf8(line).unwrap()).collect();
        lines.join(end)
    }

    fn quoted_printable(text: &str) -> String {
        wrapped(&text.replace('=', "=3D"), 75, "=\r\n")
    }

    fn per_cent(text: &str) -> String {
        let escaped = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        text.bytes().map(escaped).collect()
    }

    #[test]
    fn links_are_read_after_mail_and_chat() {
        for (link, linked) in links() {
            let twice = per_cent(&per_cent(&link));
            let mut forms = vec![
                format!("<{link}>"),
                format!("[a race]({link})"),
                format!("[a race]({link} \"title\")"),
                format!("[{link}]({link})"),
                format!("[{}…]({link})", &link[..60]),
                format!("_{link}_"),
                format!("**{link}**"),
                format!("***{link}***"),
                format!("<a href=\"{link}\">{link}</a>"),
                format!("<{link}|a race>"),
                format!("See {link}, and tell me."),
                format!("See\n{link}\nBest regards\nAda"),
                format!("{link}&theme=dark"),
                format!("{link}?utm_source=x"),
                format!("{link}?utm_source=x&utm_medium=mail"),
                format!("{link}&fbclid=AbC-1_2"),
                wrapped(&link, 76, "\n"),
                wrapped(&link, 76, "\r\n"),
                wrapped(&link, 76, "\n> "),
                wrapped(&link, 72, "\n>> > "),
                wrapped(&link, 76, " \n  "),
                format!("> {}\n> Best regards", wrapped(&link, 76, "\n> ")),
                format!("{}\nBest regards,\nAda", wrapped(&link, 76, "\n")),
                quoted_printable(&link),
                format!("Dear all,=20\r\n{}\r\n\r\nAda", quoted_printable(&link)),
                link.replace("#r=", "#\u{200b}r=\u{200b}"),
                wrapped(&link, 40, "\u{200b}"),
                wrapped(&link, 40, "\u{ad}"),
                format!("\u{feff}{link}\u{200b}"),
                link.replace("#r=", "#r%3D"),
                link.replace("#r=", "#r%3d"),
                link.replace("#r=", "%23r="),
                link.replace("#r=", "%23r%3D"),
                link.replace("#r=", "%2523r%253D"),
                link.replace("#r=", "&#35;r&#61;"),
                link.replace("#r=", "#r=\n"),
                link.replace("#r=", "#r\n="),
                per_cent(&link),
                per_cent(&per_cent(&twice)).replace("%252525", "%25"),
                format!("https://filter.example/?url={}&data=05%7C01", per_cent(&link)),
                format!("https://filter.example/?url={twice}&reserved=0"),
                format!("https://filter.example/v3/__{}__;Iw!!AbC$", link.replace('#', "*")),
                format!("https://example.org/?{}", &link[link.find("r=").unwrap() - 1..]),
            ];
            for tail in [
                ".", ",", ")", ">", "。", "，", "）", "」", "%20", "%20.", "!", "\"", "'", "*", "…", "=",
                " ", "\\",
            ] {
                forms.push(format!("{link}{tail}"));
            }
            for form in forms {
                assert_eq!(decode_link(&form).as_ref(), Ok(&linked), "{form}");
                let all = decode_links(&form, 20);
                assert_eq!(all.len(), 1, "{form}");
                assert_eq!(all[0].as_ref(), Ok(&linked), "{form}");
            }
            // The links are also read without the address.
            let data = link.split_once("#r=").unwrap().1;
            for form in [format!("{data}."), wrapped(data, 76, "\n> "), format!("r={data})")] {
                assert_eq!(decode_link(&form).as_ref(), Ok(&linked), "{form}");
            }
        }
    }

    #[test]
    fn several_links_of_one_text_are_read_in_order() {
        let links = links();
        let text = format!(
            "# my races\n{}\n\nand\n> {}\n{}#r=1AAAA broken\n",
            links[0].0,
            wrapped(&links[1].0, 76, "\n> "),
            "https://example.org/"
        );
        let all = decode_links(&text, 20);
        assert_eq!(all.len(), 3);
        assert_eq!((&all[0], &all[1]), (&Ok(links[0].1.clone()), &Ok(links[1].1.clone())));
        assert_eq!(all[2], Err(LinkError::Damaged));
        assert_eq!(decode_links(&text, 1).len(), 1);
    }

    #[test]
    fn unrepairable_links_keep_their_reason() {
        for (link, _) in links() {
            let cut = &link[..link.len() - 9];
            let changed = link.replacen('A', "B", 1);
            for text in [cut.to_owned(), changed, wrapped(cut, 76, "\n"), format!("{cut}."), per_cent(cut)] {
                assert_eq!(decode_link(&text).unwrap_err().code(), "link-damaged", "{text}");
                assert_eq!(decode_links(&text, 20)[0].clone().unwrap_err().code(), "link-damaged", "{text}");
            }
        }
        assert!(matches!(decode_link("#r=9AAAA"), Err(LinkError::Newer { got: '9' })));
        for text in ["hello", "", "system,backend\nattention,cpu", "2026-12-01 race", "| length |\n| ---: |"]
        {
            let code = decode_link(text).unwrap_err().code();
            assert!(["link-no-race", "link-empty"].contains(&code), "{text}: {code}");
        }
    }

    #[test]
    fn hostile_text_takes_a_bounded_number_of_letters() {
        use std::cell::Cell;

        for text in [
            "#r=1A ".repeat(10_000),
            "#r=1A ".repeat(200_000),
            format!("#r=1 {}", "a ".repeat(30_000)),
            "1 ".repeat(30_000),
            "%25".repeat(20_000),
            format!("#r={}", "1A\n".repeat(500_000)),
        ] {
            let letters = Cell::new(0);
            let found = super::repaired(&text, &|letters_read| {
                letters.set(letters.get() + letters_read.len());
                false
            });
            assert!(found.iter().all(Option::is_none));
            let readings = super::readings(&text).len();
            assert!(letters.get() <= readings * super::MAX_LETTERS, "{} in {readings}", letters.get());
        }
    }

    /// A configuration with a few random fields.
    fn config() -> impl Strategy<Value = Config> {
        (0_u32..1000, 1_u32..5, proptest::collection::vec(1_u32..100_000, 1..20)).prop_map(
            |(seed, heads, lengths)| Config { seed, heads, width: 60, lengths, ..Config::default() },
        )
    }

    proptest! {
        /// After any insertion, removal or addition of characters, the text gives the link's own race or no race.
        #[test]
        fn a_link_never_becomes_another(
            config in config(),
            other in config(),
            cut in 0_usize..200,
            at in 0_usize..200,
            inserted in "[ -~\n\u{200b}]{0,8}",
            tail in "[ -~。]{0,12}",
        ) {
            let link = encode_config_link(&config).unwrap();
            let end = link.len().saturating_sub(cut % 20).max(3);
            let mut text = link[..end].to_owned();
            text.insert_str(3 + at % (text.len() - 2), &inserted);
            text.push_str(&tail);
            // Includes two different links that run into each other.
            for text in [text.clone(), format!("{text}{}", &encode_config_link(&other).unwrap()[3..])] {
                if let Ok(linked) = decode_link(&text) {
                    prop_assert!(
                        linked == Linked::Config(config.clone()) || linked == Linked::Config(other.clone()),
                        "{}", text
                    );
                }
            }
        }

        #[test]
        fn a_whole_link_is_read_whatever_follows(config in config(), tail in "[.,;:!?)>\\]}\"'。 \n][ -~]{0,40}") {
            let text = format!("{}{tail}", encode_config_link(&config).unwrap());
            prop_assume!(!tail.contains("r="));
            prop_assert_eq!(decode_link(&text), Ok(Linked::Config(config)));
        }
    }
}
