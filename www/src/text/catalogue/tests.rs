//! Tests of sentences by their codes.

use std::fs;
use std::path::Path;

use mixer::MixerError;
use report::{Config, Report, decode_link};

use super::*;
use crate::samples;
use crate::text::{CHINESE, ENGLISH, LANGUAGES};

fn error(error: &impl Explain) -> String {
    let told = Told::of(error);
    assert_eq!(ENGLISH.told(&told), error.to_string());
    CHINESE.told(&told)
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
        (&format!("#r=1{}", "A".repeat(70_000)), "70,004 个字符"),
    ] {
        let said = error(&decode_link(link).unwrap_err());
        assert!(said.contains(words), "{link:.20}: {said}");
    }
}

#[test]
fn nested_refusals_are_translated() {
    let inner = Config::from_json("{\"heads\":0}").unwrap_err();
    assert_eq!(error(&inner), "heads：须为 1 至 4,096 的整数，而不是 0");
    let report = report::ReportError::Config(inner);
    assert_eq!(error(&report), "报告中的配置：heads：须为 1 至 4,096 的整数，而不是 0");
    let link = report::LinkError::Report(report);
    assert_eq!(error(&link), "链接中的报告被拒绝：报告中的配置：heads：须为 1 至 4,096 的整数，而不是 0");
    let empty = Config::from_json("{\"systems\":[]}").unwrap_err();
    assert_eq!(error(&empty), "systems：须为至少含一项的列表，而不是 []");
    let lanes = Report::from_json("{\"lanes\":1}").unwrap_err();
    assert!(error(&lanes).starts_with("这不是报告："));
    // An allowed range that exists in English only is omitted.
    let words = MixerError::invalid("lanes", "as many as config.systems", 3);
    assert_eq!(error(&words), "lanes：值无效");
}

#[test]
fn amounts_keep_their_units() {
    let memory = MixerError::OutOfMemory { needed_bytes: 5 << 30, limit_bytes: 1 << 30 };
    assert_eq!(error(&memory), "需要 5.00\u{202f}GiB；可用 1.00\u{202f}GiB");
    let args = ReasonArgs::from([("step".to_owned(), ReasonArg::Time { ns: 1e5 })]);
    let warning =
        Warning { code: "coarse-clock".to_owned(), message: "English".to_owned(), lane: None, args };
    assert_eq!(CHINESE.warning(&warning), "时钟步长为 100\u{202f}µs，因此短时间的测量较粗略");
    assert_eq!(ENGLISH.warning(&warning), "English");
}

#[test]
fn an_unknown_code_or_a_missing_argument_leaves_the_english_sentence() {
    let none = ReasonArgs::new();
    assert_eq!(CHINESE.explain("of-the-future", &none, "A sentence."), "A sentence.");
    assert_eq!(CHINESE.explain("out-of-memory", &none, "needs more"), "needs more");
    assert_eq!(CHINESE.explain("", &none, ""), "");
}

#[test]
fn reasons_without_end_end() {
    let deep = (0..100).fold(Reason::new("busy"), |inner, _| Reason {
        code: "link-report".to_owned(),
        args: [("error".to_owned(), ReasonArg::Reason(inner))].into(),
    });
    assert_eq!(CHINESE.explain(&deep.code, &deep.args, "deep"), "deep");
}

#[test]
fn forms_are_closed_and_in_their_language() {
    for text in LANGUAGES {
        for (code, form) in text.catalogue {
            assert_eq!(form.matches('{').count(), form.matches('}').count(), "{code}");
            assert!(!form.is_ascii() || form.starts_with('{') || *code == "allowed-words", "{code}: {form}");
        }
    }
}

/// Codes of the errors in the page's scripts.
fn codes_of_scripts() -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("js");
    let mut codes = Vec::new();
    for name in ["crossover.js", "traps.js", "worker-boot.js", "thread.js"] {
        let script = fs::read_to_string(source.join(name)).unwrap();
        for mark in [
            "code: '",
            "errorEvent(id, '",
            "errorEvent(undefined, '",
            "failCurrent('",
            "new CrossoverError('",
        ] {
            for place in script.split(mark).skip(1) {
                codes.push(place.split('\'').next().unwrap().to_owned());
            }
        }
    }
    codes
}

#[test]
fn every_code_of_the_scripts_has_its_sentence_in_every_language() {
    let codes = codes_of_scripts();
    assert!(codes.len() > 8, "{codes:?}");
    for text in LANGUAGES.into_iter().filter(|text| text.words.lang != ENGLISH.words.lang) {
        for code in &codes {
            let warning = format!("{WARNING}{code}");
            let known = |known: &str| text.catalogue.iter().any(|(form, _)| *form == known);
            assert!(known(code) || known(&warning), "{}: {code}", text.words.lang);
        }
    }
}
