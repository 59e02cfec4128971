//! Sentences of reports that were written before reasons had codes.

use mixer::{MixerError, NoDecode};

use crate::text::{CHINESE, ENGLISH, LANGUAGES, Told};

#[test]
fn forms_have_the_same_holes_and_no_english_left() {
    for text in LANGUAGES {
        for (form, other) in text.phrases.iter().chain(text.complexity_words) {
            let holes = form.matches("{}").count();
            for number in other.split('{').skip(1).map(|part| part.split('}').next().unwrap()) {
                let number: usize = number.trim_end_matches('!').parse().unwrap();
                assert!(number < holes, "{form} → {other}");
            }
            assert!(!other.is_ascii(), "{form} → {other}");
        }
    }
}

#[test]
fn reasons_and_warnings_of_version_1_are_translated() {
    for (english, chinese) in [
        ("needs 5120 MiB; 1024 MiB are available", "需要 5120 MiB；可用 1024 MiB"),
        ("the GPU device was lost: destroyed", "GPU 设备丢失：destroyed"),
        (
            "the code of Mega could not be loaded; check the connection, reload the page and start again (not-loaded)",
            "无法加载 Mega 的代码；请检查网络连接，重新加载页面并再次开始（not-loaded）",
        ),
        (
            "12 samples were thrown away because the tab was hidden or the clock jumped; keep the tab in front while it races",
            "因标签页被隐藏或时钟跳变，12 个样本被丢弃；竞赛时请让标签页保持在前台",
        ),
        (
            "the race was stopped before its end; what was measured stands",
            "竞赛在结束前被停止；已测得的结果仍然有效",
        ),
    ] {
        assert_eq!(CHINESE.old(english), chinese);
        assert_eq!(ENGLISH.old(english), english);
    }
}

/// Links carry the message of a lane that does not decode, without its code.
#[test]
fn reasons_not_to_decode_are_translated_as_by_their_codes() {
    for why in [NoDecode::NotCausal, NoDecode::OtherFunction, NoDecode::WholeSequence, NoDecode::CpuOnly] {
        let error = MixerError::NoDecode { system: "reformer".to_owned(), why };
        assert_eq!(CHINESE.old(&error.to_string()), CHINESE.told(&Told::of(&error)));
        assert!(CHINESE.old(&error.to_string()).starts_with("reformer 不能逐词元生成："));
    }
}

#[test]
fn complexities_are_translated() {
    assert_eq!(CHINESE.complexity("O(L²·D) time, O(L²) memory"), "时间 O(L²·D)，内存 O(L²)");
    assert_eq!(CHINESE.complexity("O(L·U·H²), L·U steps deep"), "O(L·U·H²)，深 L·U 步");
    assert_eq!(CHINESE.complexity("O(L·w·D)"), "O(L·w·D)");
}

#[test]
fn foreign_text_that_looks_like_sentences_ends() {
    let deep = "webgpu is not available: ".repeat(10_000);
    assert!(CHINESE.old(&deep).starts_with("webgpu 不可用"));
    let holes = "{0}{9}{}: must be {}, got {1!}";
    assert!(!CHINESE.old(holes).is_empty());
    assert_eq!(CHINESE.old("Unknown words stay."), "Unknown words stay.");
}
