//! Every code of every crate has a sentence in every language of the page except English, whose sentences are in the
//! errors themselves.

use mixer::explain::Codes;
use mixer::{Allowed, Explain, LaneError, MixerError, NoDecode};
use www::text::CHINESE;

const TYPES: [(&str, Codes); 14] = [
    ("Allowed", Allowed::CODES),
    ("MixerError", MixerError::CODES),
    ("NoDecode", NoDecode::CODES),
    ("LaneError", LaneError::CODES),
    ("RaceError", race::RaceError::CODES),
    ("ConfigError", report::ConfigError::CODES),
    ("ReportError", report::ReportError::CODES),
    ("LinkError", report::LinkError::CODES),
    ("Hint", report::Hint::CODES),
    ("ComputeError", compute::ComputeError::CODES),
    ("GoldenError", compute::golden::GoldenError::CODES),
    ("NoGpu", compute::NO_GPU_CODES),
    ("ProtocolError", protocol::ProtocolError::CODES),
    ("WorkerError", protocol::WorkerError::CODES),
];

#[test]
fn every_code_has_a_sentence_that_its_arguments_fill() {
    let mut missing = Vec::new();
    let mut checked = 0;
    for (name, codes) in TYPES {
        for (code, args) in codes {
            checked += 1;
            if !CHINESE.can_say(code, args) {
                missing.push(format!("{name}: {code} with {args:?}"));
            }
        }
    }
    assert!(checked > 80, "{checked} codes");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn codes_and_arguments_are_fit_to_travel() {
    for (name, codes) in TYPES {
        for (code, args) in codes {
            let id = |text: &str| {
                !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            };
            assert!(id(code) && code.len() <= 40, "{name}: {code}");
            assert!(args.iter().all(|arg| id(arg)) && args.len() <= 8, "{name}: {code}: {args:?}");
        }
    }
}
