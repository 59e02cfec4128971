//! Every sentence that the page may be handed has its form in every language: the sources that say them are read here.

use std::fs;
use std::path::Path;

use report::{Config, Report, decode_link};

use crate::samples;
use crate::text::{CHINESE, ENGLISH, LANGUAGES};

/// The sources of sentences, and what stands before one.
const SOURCES: [(&str, &[&str]); 15] = [
    ("crates/report/src/error.rs", &["#[error("]),
    ("crates/report/src/lengths.rs", &["#[error(", "Self::invalid("]),
    ("crates/report/src/link/error.rs", &["#[error("]),
    ("crates/report/src/parse.rs", &["invalid("]),
    ("crates/report/src/resolve.rs", &["invalid(", "let allowed =", "hint:"]),
    (
        "crates/report/src/convert.rs",
        &["let text = format!(", "\"software-gpu\",", "(\"cancelled\",", "Some(format!("],
    ),
    ("crates/mixer/src/error.rs", &["#[error("]),
    ("crates/mixer/src/executor.rs", &["#[error("]),
    ("crates/mixer/src/problem.rs", &["invalid("]),
    ("crates/mixer/src/params.rs", &["invalid(", "let allowed ="]),
    ("crates/race/src/error.rs", &["#[error("]),
    ("crates/race/src/heat.rs", &["let message ="]),
    ("crates/compute/src/error.rs", &["#[error("]),
    ("crates/compute/src/gpu/device.rs", &["no_backend("]),
    ("crates/protocol/src/error.rs", &["#[error("]),
];

/// The text of the Rust string literals in `code`, with their holes as `{}` and their line continuations joined.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some((_, after)) = rest.split_once('"') {
        let mut text = String::new();
        let mut characters = after.char_indices().peekable();
        let mut end = after.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match characters.next() {
                    Some((_, '\n')) => {
                        while characters.next_if(|(_, next)| next.is_whitespace()).is_some() {}
                    }
                    Some((_, escaped)) => text.push(escaped),
                    None => {}
                },
                '{' => {
                    while characters.next_if(|(_, next)| *next != '}').is_some() {}
                    characters.next();
                    text += "{}";
                }
                _ => text.push(character),
            }
        }
        found.push(text);
        rest = after.get(end..).unwrap_or_default();
    }
    found
}

/// The code after an opening bracket, up to the one that closes it.
fn bracketed(code: &str) -> &str {
    let mut depth = 1;
    let end = code.find(|character| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        depth == 0
    });
    code.get(..end.unwrap_or(code.len())).unwrap_or_default()
}

/// Sentences in the sources: whatever has a blank between words.
fn sentences() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = Vec::new();
    for (name, marks) in SOURCES {
        let code = fs::read_to_string(root.join(name)).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap();
        for mark in marks {
            let places: Vec<_> = code.split(mark).skip(1).collect();
            assert!(!places.is_empty(), "{name} says nothing after {mark} any more");
            let found = places.into_iter().flat_map(|place| {
                if mark.ends_with('(') {
                    literals(bracketed(place))
                } else {
                    literals(place).into_iter().take(1).collect()
                }
            });
            all.extend(found.filter(|text| text.trim().contains(' ')));
        }
    }
    let script = fs::read_to_string(root.join("www/js/crossover.js")).unwrap();
    for line in script.lines().filter(|line| !line.trim_start().starts_with(['/', '*'])) {
        for quote in ['\'', '`'] {
            for text in line.split(quote).skip(1).step_by(2) {
                // What people read ends like a sentence.
                if text.contains(' ') && text.ends_with('.') && text.starts_with(char::is_uppercase) {
                    all.push(without_holes(text));
                }
            }
        }
    }
    all
}

/// A template of a script with its `${…}` as `{}`.
fn without_holes(template: &str) -> String {
    let mut parts = template.split("${");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += "{}";
        text += part.split_once('}').map_or("", |(_, after)| after);
    }
    text
}

#[test]
fn every_sentence_of_engine_formats_and_scripts_has_its_form_in_every_language() {
    let sentences = sentences();
    assert!(sentences.len() > 60, "{} sentences found", sentences.len());
    for text in LANGUAGES.into_iter().filter(|text| text.lang != ENGLISH.lang) {
        // A default in one of the sources, and what lists are joined with.
        let known = |sentence: &str| {
            matches!(sentence, "a lane" | ", ") || text.phrases.iter().any(|(form, _)| *form == sentence)
        };
        let missing: Vec<_> = sentences.iter().filter(|sentence| !known(sentence)).collect();
        assert!(missing.is_empty(), "{}: no form for {missing:#?}", text.lang);
    }
}

#[test]
fn forms_have_the_same_holes_and_no_english_left() {
    for text in LANGUAGES {
        for (form, other) in text.phrases {
            let holes = form.matches("{}").count();
            for number in other.split('{').skip(1).map(|part| part.split('}').next().unwrap()) {
                let number: usize = number.trim_end_matches('!').parse().unwrap();
                assert!(number < holes, "{form} → {other}");
            }
            assert!(!other.is_ascii() || form == &"config.{}", "{form} → {other}");
        }
    }
}

#[test]
fn a_damaged_link_is_explained_in_chinese() {
    let link = report::encode_link(&samples::duel()).unwrap();
    let cut = link.get(..link.len() - 9).unwrap();
    for (link, words) in [
        ("", "没有内容"),
        ("#r=", "没有内容"),
        ("hello", "不是竞赛链接"),
        ("#r=9AAAA", "更新版本"),
        ("#r=0AAAA", "版本 0"),
        (cut, "损坏"),
        ("#r=1a b", "损坏"),
        (&format!("#r=1{}", "A".repeat(70_000)), "70004 个字符"),
    ] {
        let english = decode_link(link).unwrap_err().to_string();
        let said = CHINESE.say(&english);
        assert!(said.contains(words), "{link:.20}: {english} → {said}");
        assert_eq!(ENGLISH.say(&english), english);
    }
}

#[test]
fn what_is_refused_inside_of_what_is_refused_is_translated_too() {
    let said =
        CHINESE.say("the link's report is refused: config.heads: must be a whole number from 1 to 64, got 0");
    assert_eq!(said, "链接中的报告被拒绝：config.heads：须为 1 至 64 的整数，而不是 0");
    let error = Config::from_json("{\"lengths\":[0]}").unwrap_err().to_string();
    assert!(CHINESE.say(&error).contains("的整数"), "{error}");
    let error = Config::from_json("{\"systems\":[]}").unwrap_err().to_string();
    assert_eq!(CHINESE.say(&error), "systems：须为至少含一项的列表，而不是 空列表");
    let error = Report::from_json("{\"lanes\":1}").unwrap_err().to_string();
    assert!(CHINESE.say(&error).starts_with("这不是报告："), "{error}");
    // What is allowed in words that are not known is left out, not left in English.
    assert_eq!(CHINESE.say("lanes: must be as many as config.systems, got 3"), "lanes：值不合规定");
}

#[test]
fn what_a_system_costs_is_said_in_chinese_too() {
    assert_eq!(CHINESE.say("O(L²·D) time, O(L²) memory"), "时间 O(L²·D)，内存 O(L²)");
    assert_eq!(CHINESE.say("O(L·U·H²), L·U steps deep"), "O(L·U·H²)，深 L·U 步");
    assert_eq!(CHINESE.say("O(L·w·D)"), "O(L·w·D)");
}

#[test]
fn foreign_text_that_looks_like_sentences_ends() {
    let deep = "config.".repeat(10_000);
    assert!(CHINESE.say(&deep).starts_with("config."));
    let holes = "{0}{9}{}: must be {}, got {1!}";
    assert!(!CHINESE.say(holes).is_empty());
    assert_eq!(CHINESE.say("Unknown words stay."), "Unknown words stay.");
}
