//! Share links: the text itself, and any body under a right checksum, which is where a hostile link begins.
#![no_main]

use libfuzzer_sys::fuzz_target;
use report::{Linked, decode_link, encode_config_link, encode_link};

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        check(text);
    }
    if let [version, kind, body @ ..] = data {
        check(&sealed(b'1' + version % 4, *kind, body));
    }
});

fn sealed(version: u8, kind: u8, body: &[u8]) -> String {
    let mut data = vec![kind];
    data.extend(body);
    let mut sum = crc32fast::Hasher::new();
    sum.update(&[version]);
    sum.update(&data);
    data.extend(sum.finalize().to_le_bytes());
    format!("#r={}{}", char::from(version), data_encoding::BASE64URL_NOPAD.encode(&data))
}

/// What is read passes every check and gives itself again.
fn check(link: &str) {
    let Ok(linked) = decode_link(link) else { return };
    let again = match &linked {
        Linked::Config(config) => encode_config_link(config),
        Linked::Report(report) => encode_link(report),
    };
    let again = again.expect("what was read can be written");
    assert_eq!(decode_link(&again), Ok(linked));
}
