//! Files from users: decodes their text, finds the race in it, and guesses the kind of a file without a race.

use crate::{Config, ConfigError, LinkError, Linked, Report, ReportError, decode_link, is_link};

/// Why the bytes of a file cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Not UTF-8, and without a byte-order mark of another encoding.
    #[error("the file is not text: it is neither UTF-8 nor UTF-16 with a byte-order mark")]
    Encoding,
}

/// The text of a file: UTF-8 with or without a byte-order mark, or UTF-16 with one, as Windows programs write it. The
/// mark is removed.
///
/// # Errors
/// [`TextError::Encoding`] for any other encoding.
pub fn file_text(bytes: Vec<u8>) -> Result<String, TextError> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(TextError::Encoding);
        }
        char::decode_utf16(units.iter().map(|bytes| unit(*bytes)))
            .collect::<Result<String, _>>()
            .map_err(|_| TextError::Encoding)
    };
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => {
            let text = String::from_utf8(bytes).map_err(|_| TextError::Encoding)?;
            Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
        }
    }
}

/// The apparent kind of a file without a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seems {
    /// An empty file.
    Empty,
    /// The CSV of [`Report::to_csv`].
    Csv,
    /// The table of [`Report::to_markdown`].
    Markdown,
    /// A figure or another SVG or XML file.
    Svg,
    /// Papers in BibTeX.
    Bibtex,
    /// A web page.
    Html,
    /// A file of tensors in the safetensors format.
    Tensors,
    /// An image or other binary data.
    Binary,
    /// Any other text.
    Text,
}

impl Seems {
    /// Guesses the kind from the start of a text. Bytes that are not text may appear in it as U+FFFD.
    pub fn of(text: &str) -> Self {
        let start = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let line = start.lines().next().unwrap_or_default();
        let begins = |word: &str| start.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        // The length in eight bytes, then JSON.
        let tensors = text.chars().take(12).any(|c| c == '{') && text.contains("\"data_offsets\"");
        if start.is_empty() {
            Self::Empty
        } else if tensors {
            Self::Tensors
        } else if text.chars().take(1000).any(|c| c == '\0' || c == '\u{fffd}') {
            Self::Binary
        } else if line.starts_with("system,") || line.starts_with("system;") || line.starts_with("system\t") {
            Self::Csv
        } else if line.starts_with("| length |") || line.starts_with("| context |") {
            Self::Markdown
        } else if begins("<svg") || begins("<?xml") {
            Self::Svg
        } else if begins("<!doctype html") || begins("<html") {
            Self::Html
        } else if start.starts_with('@') || start.starts_with("% system:") {
            Self::Bibtex
        } else {
            Self::Text
        }
    }

    /// An English noun phrase that follows "it seems to be".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Csv => "a table of results in CSV",
            Self::Markdown => "a table of results in Markdown",
            Self::Svg => "a figure",
            Self::Bibtex => "a list of papers in BibTeX",
            Self::Html => "a web page",
            Self::Tensors => "a file of tensors (safetensors)",
            Self::Binary => "an image or another binary file",
            Self::Text => "some other text",
        }
    }
}

/// Why a file contains no race.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Its configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its report is invalid.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Its link is invalid.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It is a file of another kind.
    #[error(
        "the file contains no race; it seems to be {}. Races can be read from reports and configurations in JSON, and \
         from links",
        .seems.words()
    )]
    NoRace {
        /// The apparent kind.
        seems: Seems,
    },
}

impl FileError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Report(error) => error.code(),
            Self::Link(error) => error.code(),
            Self::NoRace { .. } => "file-no-race",
        }
    }
}

/// Reads the race in a file's text: a report or a configuration in JSON, or a link.
///
/// # Errors
/// [`FileError`] for the kind of file that the text seems to be.
pub fn read_file(text: &str) -> Result<Linked, FileError> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    // A link in Markdown begins with a bracket, too.
    if text.starts_with('{') || text.starts_with('[') && !is_link(text) {
        return Ok(if is_report(text) {
            Linked::Report(Box::new(Report::from_json(text)?))
        } else {
            Linked::Config(Config::from_json(text)?)
        });
    }
    match decode_link(text) {
        Err(LinkError::NoRace | LinkError::Empty) => Err(FileError::NoRace { seems: Seems::of(text) }),
        Err(LinkError::TooLong { .. }) if !is_link(text) => Err(FileError::NoRace { seems: Seems::of(text) }),
        other => Ok(other?),
    }
}

/// Whether the JSON is intended as a report: it has a report's fields, which configurations lack.
fn is_report(json: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(json)
        .is_ok_and(|value| value.get("schema").is_some() || value.get("lanes").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{encode_config_link, encode_link, testing::report};

    fn wide(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect()
    }

    #[test]
    fn utf16_files_are_decoded() {
        let text = "{\"seed\": 7}\r\n中文 𝄞";
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            wide(text, u16::to_le_bytes),
            wide(text, u16::to_be_bytes),
        ] {
            assert_eq!(file_text(bytes).as_deref(), Ok(text));
        }
        for bad in [vec![0xff], vec![0x80, 0x41], vec![0xff, 0xfe, 0x41], vec![0xff, 0xfe, 0x00, 0xd8]] {
            assert_eq!(file_text(bad), Err(TextError::Encoding));
        }
        assert_eq!(file_text(Vec::new()).as_deref(), Ok(""));
    }

    #[test]
    fn reports_configurations_and_links_are_distinguished() {
        let report = report();
        let config = Config { seed: 7, ..Config::default() };
        let json = report.to_json().unwrap();
        assert_eq!(read_file(&format!("\u{feff}{json}")), Ok(Linked::Report(Box::new(report.clone()))));
        let setup = serde_json::to_string(&config).unwrap();
        assert_eq!(read_file(&setup), Ok(Linked::Config(config.clone())));
        let link = format!(
            "[InternetShortcut]\r\nURL=https://example.org/{}\r\n",
            encode_config_link(&config).unwrap()
        );
        assert_eq!(read_file(&link), Ok(Linked::Config(config)));
        assert!(matches!(read_file(&encode_link(&report).unwrap()), Ok(Linked::Report(_))));
        assert_eq!(read_file("{\"heads\": 0}").unwrap_err().code(), "invalid-field");
        assert_eq!(read_file("{\"schema\": 1}").unwrap_err().code(), "report-syntax");
        assert_eq!(read_file("{,}").unwrap_err().code(), "config-syntax");
    }

    #[test]
    fn own_exports_are_recognised() {
        let report = report();
        for (text, seems) in [
            (report.to_csv(), Seems::Csv),
            (report.to_markdown(), Seems::Markdown),
            ("<?xml version=\"1.0\"?><svg/>".to_owned(), Seems::Svg),
            ("% system: hyena\n@article{}".to_owned(), Seems::Bibtex),
            ("<!DOCTYPE html>".to_owned(), Seems::Html),
            ("\u{fffd}PNG\r\n\0\0".to_owned(), Seems::Binary),
            (" \n".to_owned(), Seems::Empty),
            ("a\n".repeat(100_000), Seems::Text),
            ("hello".to_owned(), Seems::Text),
        ] {
            let error = read_file(&text).unwrap_err();
            assert_eq!(error, FileError::NoRace { seems }, "{text:.40}");
            assert!(error.to_string().contains(seems.words()));
        }
    }
}
