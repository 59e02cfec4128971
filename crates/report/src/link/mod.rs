//! Share links: `…/#r=<version><base64url>` holds a configuration or a whole report, so that it opens anywhere,
//! offline, without a server.
//!
//! One character of version is followed by base64url without padding of `kind · body · CRC-32`. The body is postcard,
//! deflated where that is shorter. The checksum covers version, kind and body, so that a cut or changed link is an
//! error and never a wrong number. The structs in this module are the format and have no other use; a decoded value
//! passes the same validation as a file or the page's input. Numbers of a report are rounded (see `numbers`). Encoding
//! a decoded report reproduces the link.
//!
//! Version 2 adds the machine's measured roofline after a report's body. Version 3 adds the GPU's peak f16 rate and the
//! kernel variants that its lanes used. Version 4 adds verdicts with their intervals, executed operations,
//! transcendental functions with their peak rates, and crossovers that are bounds or undecided. Version 5 adds the mode
//! of decode races, to reports and to configurations, and what their points have of decoding. A link is written in the
//! oldest version that can store it, so that older readers can open it. Versions 1 to 3 store reports of format 1.

mod config;
mod decoding;
mod device;
mod error;
mod list;
mod numbers;
mod points;
mod repair;
mod report;
mod roofline;
mod sets;
mod statistics;
mod words;

use base64ct::{Base64UrlUnpadded, Encoding};
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use mixer::Task;
use serde::Serialize;
use serde::de::DeserializeOwned;

use decoding::{LinkDecoding, LinkMode};
use device::LinkDevice;
pub use error::LinkError;
use roofline::LinkRoofline;
use statistics::LinkStatistics;

use crate::{Config, CrossoverKind, Report};

/// All versions that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
    Three,
    Four,
    Five,
}

/// Format of the reports in versions 1 to 3.
const OLD_FORMAT: u32 = 1;

impl Version {
    /// The oldest version that can hold a report.
    fn of(report: &Report) -> Self {
        let is_new = |crossover: &crate::Crossover| match crossover.kind {
            CrossoverKind::Undecided => true,
            // Format 1 reads a crossover at the shortest length as a bound, and no other crossover.
            CrossoverKind::AtMost => report.shortest_common(crossover).map(f64::from) != crossover.estimate,
            CrossoverKind::Measured => report.schema > OLD_FORMAT && report.led_from(crossover).is_some(),
            CrossoverKind::Predicted | CrossoverKind::None => false,
        };
        if report.config.mode != Task::Forward {
            Self::Five
        } else if LinkStatistics::is_needed(report) || report.crossovers.iter().any(is_new) {
            Self::Four
        } else if LinkDevice::is_needed(&report.environment) {
            Self::Three
        } else if report.environment.roofline.is_some() {
            Self::Two
        } else {
            Self::One
        }
    }

    /// Whether the version stores statistics and distinguishes bounds and undecided crossovers.
    fn has_statistics(self) -> bool {
        matches!(self, Self::Four | Self::Five)
    }

    const fn character(self) -> char {
        match self {
            Self::One => '1',
            Self::Two => '2',
            Self::Three => '3',
            Self::Four => '4',
            Self::Five => '5',
        }
    }
}

/// Longest link accepted, in bytes.
const MAX_LINK_BYTES: usize = 64 << 10;
/// Most bytes that a link may inflate to.
const MAX_BODY_BYTES: usize = 128 << 10;
/// Bits of `kind`.
const REPORT: u8 = 1;
const DEFLATED: u8 = 2;
/// Miniz's slowest level, since links are short.
const LEVEL: u8 = 10;

/// Content of a link.
#[derive(Debug, Clone, PartialEq)]
pub enum Linked {
    /// A race to run.
    Config(Config),
    /// A finished race.
    Report(Box<Report>),
}

/// The fragment of a link to a configuration, from `#r=` on.
///
/// # Errors
/// [`LinkError::Config`] where a reader would refuse the configuration.
pub fn encode_config_link(config: &Config) -> Result<String, LinkError> {
    config.check()?;
    let body = config::Body::new(config);
    match LinkMode::new(config) {
        None => pack(Version::One, 0, &body),
        Some(mode) => pack(Version::Five, 0, &(mode, body)),
    }
}

/// The fragment of a link to a report, from `#r=` on. Times keep three significant digits.
///
/// # Errors
/// [`LinkError::Report`] where a reader would refuse the report, [`LinkError::TooLong`] where its text is too long for
/// a link.
pub fn encode_link(report: &Report) -> Result<String, LinkError> {
    report.validate()?;
    let version = Version::of(report);
    let body = report::Body::new(report, version.has_statistics());
    let device = LinkDevice::new(&report.environment);
    if !version.has_statistics() {
        return match (version, &report.environment.roofline) {
            (Version::Two, Some(roofline)) => pack(version, REPORT, &(body, LinkRoofline::new(roofline))),
            (Version::Three, _) => pack(version, REPORT, &(body, device)),
            _ => pack(version, REPORT, &body),
        };
    }
    let mut linked = body.report(report.config.mode)?;
    device.describe(&mut linked.environment)?;
    let statistics = LinkStatistics::new(report, &mut linked)?;
    match LinkMode::new(&report.config) {
        None => pack(version, REPORT, &(body, device, statistics)),
        Some(mode) => pack(version, REPORT, &(mode, body, device, statistics, LinkDecoding::new(report))),
    }
}

/// The report as decoded from its link. A page that shows it has the same digits as the pages that open the link.
///
/// # Errors
/// As for [`encode_link`].
pub fn as_linked(report: &Report) -> Result<Report, LinkError> {
    report.validate()?;
    let version = Version::of(report);
    let mut linked = report::Body::new(report, version.has_statistics()).report(report.config.mode)?;
    LinkDevice::new(&report.environment).describe(&mut linked.environment)?;
    if version.has_statistics() {
        LinkStatistics::new(report, &mut linked)?;
    } else {
        linked.schema = OLD_FORMAT;
    }
    if version == Version::Five {
        LinkDecoding::new(report).describe(&mut linked)?;
    }
    Ok(linked.upgraded().with_shares())
}

/// Reads a link: a whole address, its fragment, or the text after `#r=`. Changes made by mail and chat programs are
/// undone where the checksum proves them. Of several links, the first readable one counts.
///
/// # Errors
/// [`LinkError`] for the link as given. Every value returned is within the ranges of a configuration or report.
pub fn decode_link(link: &str) -> Result<Linked, LinkError> {
    decode_exact(link).or_else(|error| {
        if !error.is_of_letters() {
            return Err(error);
        }
        match repair::repaired(link, &is_sealed).into_iter().flatten().next() {
            Some(letters) => decode_exact(&format!("#r={letters}")),
            None => Err(error),
        }
    })
}

/// Reads every link in a text such as a mail or a list, each link once and at most `most` of them.
pub fn decode_links(text: &str, most: usize) -> Vec<Result<Linked, LinkError>> {
    let mut end = text.len().min(most.saturating_mul(MAX_LINK_BYTES));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    let found = repair::repaired(text, &is_sealed);
    if found.len() <= 1 {
        return vec![decode_link(text)];
    }
    found
        .into_iter()
        .take(most)
        .map(|letters| {
            letters.map_or(Err(LinkError::Damaged), |letters| decode_exact(&format!("#r={letters}")))
        })
        .collect()
}

/// Whether `text` contains the mark `#r=` of a link, escaped or not.
pub fn is_link(text: &str) -> bool {
    text.len() <= MAX_LINK_BYTES && repair::is_marked(text)
}

/// Whether the checksum of letters, which begin with the version, matches.
fn is_sealed(letters: &str) -> bool {
    unpack(letters).is_ok()
}

/// Reads an unaltered link.
fn decode_exact(link: &str) -> Result<Linked, LinkError> {
    let (version, kind, body) = unpack(find(link)?)?;
    if kind & REPORT == 0 {
        let config = match version {
            Version::One => read::<config::Body>(&body)?.config(Task::Forward)?,
            Version::Five => {
                let (mode, body) = read::<(LinkMode, config::Body)>(&body)?;
                body.config(mode.task())?
            }
            Version::Two | Version::Three | Version::Four => return Err(LinkError::content("unknown kind")),
        };
        config.check()?;
        Ok(Linked::Config(config))
    } else {
        let mut report = match version {
            Version::One => old(&read::<report::Body>(&body)?)?,
            Version::Two => {
                let (body, roofline) = read::<(report::Body, LinkRoofline)>(&body)?;
                let mut report = old(&body)?;
                report.environment.roofline = Some(roofline.roofline()?);
                report
            }
            Version::Three => {
                let (body, device) = read::<(report::Body, LinkDevice)>(&body)?;
                let mut report = old(&body)?;
                device.describe(&mut report.environment)?;
                report
            }
            Version::Four => {
                let (body, device, statistics) = read::<(report::Body, LinkDevice, LinkStatistics)>(&body)?;
                let mut report = body.report(Task::Forward)?;
                device.describe(&mut report.environment)?;
                statistics.describe(&mut report)?;
                report
            }
            Version::Five => {
                let (mode, body, device, statistics, decoding) =
                    read::<(LinkMode, report::Body, LinkDevice, LinkStatistics, LinkDecoding)>(&body)?;
                let mut report = body.report(mode.task())?;
                device.describe(&mut report.environment)?;
                statistics.describe(&mut report)?;
                decoding.describe(&mut report)?;
                report
            }
        };
        report.validate()?;
        report = report.upgraded();
        Ok(Linked::Report(Box::new(report.with_shares())))
    }
}

/// The report of a version without bounds.
fn old(body: &report::Body) -> Result<Report, LinkError> {
    if body.has_bounds() {
        return Err(LinkError::content("a crossover of a newer version"));
    }
    Ok(Report { schema: OLD_FORMAT, ..body.report(Task::Forward)? })
}

/// The version and data of a link in `text`.
fn find(text: &str) -> Result<&str, LinkError> {
    if text.len() > MAX_LINK_BYTES {
        return Err(LinkError::TooLong { got: text.len(), limit: MAX_LINK_BYTES });
    }
    let text = text.trim();
    // Some chat programs escape the `#` and the `=`.
    let marks = ["#r=", "%23r=", "%23r%3D", "%23r%3d"];
    let marked = marks.iter().find_map(|mark| text.split_once(mark)).map(|(_, rest)| rest);
    let rest = marked.or_else(|| text.strip_prefix("r=")).unwrap_or(text);
    // Other settings of the page may follow, as in `#r=…&theme=dark`.
    let data = rest.split('&').next().unwrap_or_default();
    if data.is_empty() || data == "#" {
        return Err(LinkError::Empty);
    }
    let bare = marked.is_none() && !text.starts_with("r=");
    // Any word consists of a link's letters. Without a mark, only a text that begins like a link is accepted: with a
    // version and the six upper bits of its kind, which are zero.
    let like_one = data.starts_with(|c: char| c.is_ascii_digit())
        && data.as_bytes().get(1) == Some(&b'A')
        && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if bare && !like_one {
        return Err(LinkError::NoRace);
    }
    Ok(data)
}

fn pack(version: Version, kind: u8, body: &impl Serialize) -> Result<String, LinkError> {
    let plain = postcard::to_allocvec(body).map_err(LinkError::content)?;
    let packed = miniz_oxide::deflate::compress_to_vec(&plain, LEVEL);
    let (kind, body) =
        if packed.len() < plain.len() { (kind | DEFLATED, packed) } else { (kind, plain.clone()) };
    let mut data = Vec::with_capacity(body.len() + 5);
    data.push(kind);
    data.extend(body);
    data.extend(checksum(version, &data).to_le_bytes());
    let link = format!("#r={}{}", version.character(), Base64UrlUnpadded::encode_string(&data));
    if link.len() > MAX_LINK_BYTES || plain.len() > MAX_BODY_BYTES {
        return Err(LinkError::TooLong { got: link.len(), limit: MAX_LINK_BYTES });
    }
    Ok(link)
}

fn unpack(data: &str) -> Result<(Version, u8, Vec<u8>), LinkError> {
    let mut characters = data.chars();
    let version = match characters.next() {
        None => return Err(LinkError::Empty),
        Some('1') => Version::One,
        Some('2') => Version::Two,
        Some('3') => Version::Three,
        Some('4') => Version::Four,
        Some('5') => Version::Five,
        Some('0') => return Err(LinkError::Version),
        Some(got) if got.is_ascii_alphanumeric() => return Err(LinkError::Newer { got }),
        Some(_) => return Err(LinkError::NoRace),
    };
    let letters = characters.as_str();
    let data = Base64UrlUnpadded::decode_vec(letters)
        .map_err(|_| LinkError::Alphabet { position: first_foreign(letters) + 1 })?;
    let (covered, sum) = data.split_last_chunk().ok_or(LinkError::Damaged)?;
    if checksum(version, covered) != u32::from_le_bytes(*sum) {
        return Err(LinkError::Damaged);
    }
    let (&kind, body) = covered.split_first().ok_or(LinkError::Damaged)?;
    if kind & !(REPORT | DEFLATED) != 0 {
        return Err(LinkError::content("unknown kind"));
    }
    if kind & DEFLATED == 0 {
        return Ok((version, kind, body.to_vec()));
    }
    let body =
        miniz_oxide::inflate::decompress_to_vec_with_limit(body, MAX_BODY_BYTES).map_err(
            |error| match error.status {
                miniz_oxide::inflate::TINFLStatus::HasMoreOutput => {
                    LinkError::TooLarge { limit: MAX_BODY_BYTES }
                }
                _ => LinkError::Damaged,
            },
        )?;
    Ok((version, kind, body))
}

/// Index of the first letter that base64url does not have. The last index where all letters are valid but their number
/// or their unused bits are not.
fn first_foreign(letters: &str) -> usize {
    let own = |letter: &u8| letter.is_ascii_alphanumeric() || b"-_".contains(letter);
    letters.bytes().position(|letter| !own(&letter)).unwrap_or(letters.len().saturating_sub(1))
}

/// CRC-32 over the version and the data.
fn checksum(version: Version, data: &[u8]) -> u32 {
    // Without a table, which would be larger than the links.
    const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);
    let mut digest = CRC.digest();
    digest.update(&[version.character() as u8]);
    digest.update(data);
    digest.finalize()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, LinkError> {
    let (value, rest) = postcard::take_from_bytes(body).map_err(LinkError::content)?;
    if rest.is_empty() { Ok(value) } else { Err(LinkError::content("bytes left over")) }
}

#[cfg(test)]
mod tests;
