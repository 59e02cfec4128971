//! Links of an attacker: real ones cut, flipped, spliced and extended, bodies with valid checksums, bombs.
//! Deterministic, with a counting allocator and one thread. A few thousand inputs run with every test run, all of them
//! with `cargo test --release -p report --test hostile_links -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Instant;

use data_encoding::BASE64URL_NOPAD;
use fastrand::Rng;
use peak_alloc::PeakAlloc;
use report::{Config, Linked, Report, decode_link, encode_config_link, encode_link};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most bytes that reading one link may hold at once, besides the link itself.
const LIMIT: usize = 4 << 20;
/// Bits of the byte before the body.
const REPORT: u8 = 1;
const DEFLATED: u8 = 2;

/// A real link with its inflated body.
struct Seed {
    link: String,
    version: u8,
    kind: u8,
    body: Vec<u8>,
}

fn seeds() -> Vec<Seed> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut links: Vec<String> = std::fs::read_dir(folder.join("fixtures"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "link"))
        .map(|path| std::fs::read_to_string(path).unwrap().trim().to_owned())
        .collect();
    links.sort();
    let race = std::fs::read_to_string(folder.join("races/eleven-by-nine.json")).unwrap();
    links.push(encode_link(&Report::from_json(&race).unwrap()).unwrap());
    links.push(encode_config_link(&Config::default()).unwrap());
    links.into_iter().map(seed).collect()
}

fn seed(link: String) -> Seed {
    let data = BASE64URL_NOPAD.decode(&link.as_bytes()[4..]).unwrap();
    let (kind, body) = (data[0], &data[1..data.len() - 4]);
    let body = if kind & DEFLATED == 0 {
        body.to_vec()
    } else {
        miniz_oxide::inflate::decompress_to_vec(body).unwrap()
    };
    Seed { version: link.as_bytes()[3], link, kind: kind & REPORT, body }
}

/// A link with a given version and a valid checksum around any body, deflated or not.
fn sealed(version: u8, kind: u8, body: &[u8], deflate: bool) -> String {
    let mut data = vec![if deflate { kind | DEFLATED } else { kind }];
    if deflate {
        data.extend(miniz_oxide::deflate::compress_to_vec(body, 1));
    } else {
        data.extend(body);
    }
    let mut sum = crc32fast::Hasher::new();
    sum.update(&[version]);
    sum.update(&data);
    data.extend(sum.finalize().to_le_bytes());
    format!("#r={}{}", char::from(version), BASE64URL_NOPAD.encode(&data))
}

fn change_bytes(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..rng.usize(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.usize(0..bytes.len());
        match rng.u8(0..6) {
            0 => bytes[at] ^= 1 << rng.u8(0..8),
            1 => bytes[at] = rng.u8(..),
            2 => bytes[at] = *rng.choice(&[0, 1, 0x7f, 0x80, 0xff]).unwrap(),
            3 => drop(bytes.remove(at)),
            // A length or a number that suddenly becomes huge.
            4 => drop(bytes.splice(at..=at, [0xff; 4].into_iter().chain([rng.u8(..) & 0x7f]))),
            _ => bytes.insert(at, rng.u8(..)),
        }
    }
}

/// One hostile link and its kind.
fn hostile(seeds: &[Seed], rng: &mut Rng) -> (&'static str, String) {
    let one = rng.choice(seeds).unwrap();
    let other = rng.choice(seeds).unwrap();
    match rng.u8(0..100) {
        0..10 => ("cut", one.link[..rng.usize(0..one.link.len())].to_owned()),
        10..22 => {
            let mut link = one.link.clone().into_bytes();
            let at = rng.usize(0..link.len());
            link[at] ^= 1 << rng.u8(0..7);
            ("flipped", String::from_utf8_lossy(&link).into_owned())
        }
        22..30 => {
            let (a, b) = (rng.usize(0..one.link.len()), rng.usize(0..other.link.len()));
            ("spliced", format!("{}{}", &one.link[..a], &other.link[b..]))
        }
        30..34 => {
            let length = rng.usize(0..400);
            let text: String = std::iter::repeat_with(|| rng.char('\0'..'\u{2fff}')).take(length).collect();
            ("noise", if rng.bool() { format!("#r={}{text}", rng.u8(0..5)) } else { text })
        }
        34..64 => {
            let mut body = one.body.clone();
            change_bytes(&mut body, rng);
            ("changed body", sealed(one.version, one.kind, &body, false))
        }
        64..74 => {
            let (a, b) = (rng.usize(0..=one.body.len()), rng.usize(0..=other.body.len()));
            (
                "spliced body",
                sealed(one.version, one.kind, &[&one.body[..a], &other.body[b..]].concat(), rng.bool()),
            )
        }
        74..80 => {
            ("cut body", sealed(one.version, one.kind, &one.body[..rng.usize(0..one.body.len())], false))
        }
        80..90 => {
            let length = rng.usize(0..600);
            let body: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
            ("random body", sealed(rng.u8(b'1'..=b'4'), rng.u8(0..6), &body, false))
        }
        90..97 => {
            // A deflated stream with changed bytes and a valid checksum.
            let mut data = miniz_oxide::deflate::compress_to_vec(&one.body, 6);
            change_bytes(&mut data, rng);
            ("changed stream", sealed(one.version, one.kind | DEFLATED, &data, false))
        }
        _ => ("bomb", bomb(one, rng)),
    }
}

/// Bodies with large claims: many empty words, huge lists, as many zeros as fit.
fn bomb(one: &Seed, rng: &mut Rng) -> String {
    let size = *rng.choice(&[1 << 12, 1 << 16, (1 << 17) - 8, 1 << 17, (1 << 17) + 1, 1 << 21]).unwrap();
    let mut body = match rng.u8(0..4) {
        // A list of so many empty words.
        0 => varint(size as u64 - 8),
        // A list that claims more entries than there are bytes.
        1 => varint(rng.u64(..)),
        // The real beginning, followed by a list without an end.
        2 => [&one.body[..rng.usize(0..one.body.len())], &varint(rng.u64(1 << 15..1 << 40))].concat(),
        _ => Vec::new(),
    };
    let filler = *rng.choice(&[0_u8, 1, 0x7f, 0x80, 0xff]).unwrap();
    body.resize(size.max(body.len()), filler);
    sealed(one.version, one.kind, &body, true)
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// Reads one link; returns the peak of the bytes held and whether it was accepted.
fn read(kind: &str, link: &str) -> (usize, bool) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let read = decode_link(link);
    let peak = MEMORY.peak_usage().saturating_sub(before);
    assert!(peak <= LIMIT, "{kind}: {peak} bytes for {link}");
    let Ok(linked) = read else { return (peak, false) };
    // An accepted link passes every check and survives another round trip.
    let again = match &linked {
        Linked::Config(config) => {
            assert_eq!(config.check(), Ok(()), "{kind}: {link}");
            encode_config_link(config)
        }
        Linked::Report(report) => {
            assert_eq!(report.validate(), Ok(()), "{kind}: {link}");
            encode_link(report)
        }
    };
    assert_eq!(decode_link(&again.unwrap()), Ok(linked), "{kind}: {link}");
    (peak, true)
}

fn run(inputs: usize) {
    let seeds = seeds();
    let mut rng = Rng::with_seed(6);
    let started = Instant::now();
    let mut tally = std::collections::BTreeMap::<&str, (usize, usize, usize)>::new();
    for _ in 0..inputs {
        let (kind, link) = hostile(&seeds, &mut rng);
        let (peak, accepted) = read(kind, &link);
        let entry = tally.entry(kind).or_default();
        *entry = (entry.0 + 1, entry.1 + usize::from(accepted), entry.2.max(peak));
    }
    println!("{inputs} hostile links in {:.1} s", started.elapsed().as_secs_f64());
    for (kind, (count, accepted, peak)) in &tally {
        println!("{kind:>15}: {count:>8}, {accepted:>6} accepted, at most {:>5} KiB held", peak >> 10);
    }
    for kind in ["cut", "noise", "bomb"] {
        assert_eq!(tally.get(kind).map(|entry| entry.1), Some(0), "{kind}");
    }
}

#[test]
fn fault_21_to_24_hostile_links_are_refused_within_4_mib() {
    run(5_000);
}

#[test]
#[ignore = "minutes: run it in release mode"]
fn fault_21_to_24_a_million_hostile_links_are_refused_within_4_mib() {
    run(1_200_000);
}
