//! Checks that the compiler cannot do: texts left in English, and missing arguments.

use report::NoDecoding;

use super::*;
use crate::samples;

#[test]
fn the_readers_first_language_that_the_page_speaks_is_chosen() {
    for (wishes, lang) in [
        (&["zh-CN", "en"][..], "zh-Hans"),
        (&["zh-TW"], "zh-Hans"),
        (&["fr-FR", "zh"], "zh-Hans"),
        (&["en-GB", "zh"], "en"),
        (&["fr", "de"], "en"),
        (&["EN_us"], "en"),
        (&["", "*"], "en"),
        (&[], "en"),
    ] {
        assert_eq!(preferred(wishes.iter().copied()).lang(), lang, "{wishes:?}");
    }
}

#[test]
fn tags_and_names_of_the_languages_differ_and_are_those_of_their_messages() {
    for (index, language) in Language::ALL.into_iter().enumerate() {
        assert_eq!(LANGUAGES[index].words.lang, language.lang());
        for other in &Language::ALL[..index] {
            assert_ne!(language.lang(), other.lang());
            assert_ne!(language.endonym(), other.endonym());
        }
    }
}

#[test]
fn no_text_of_a_decode_race_mentions_a_forward_pass() {
    for text in LANGUAGES {
        let mode = samples::decode().config.mode;
        let texts = text.of(mode);
        let mut all = vec![
            (texts.activity)("x", "y", "z"),
            (texts.summary)(2, "x", 256, "y"),
            (texts.chart_summary)(2, "x", "y"),
            (texts.lanes_at)("x"),
            (texts.results_caption)("x"),
        ];
        let pieces =
            [texts.field_lengths, texts.chart_title, texts.tokens, texts.growth_help, texts.columns_note];
        all.extend(pieces.map(str::to_owned));
        all.extend(texts.columns.iter().flat_map(|(name, help)| [(*name).to_owned(), (*help).to_owned()]));
        for said in &all {
            assert!(!said.contains("forward") && !said.contains("前向") && !said.is_empty(), "{said}");
        }
        assert_eq!(texts.columns.len(), text.forward.columns.len() + 3);
        // Every length is one of a context.
        for said in [&all[0], &all[1], &all[2], &all[3], &all[4]] {
            assert!(["after", "context", "上下文"].iter().any(|word| said.contains(word)), "{said}");
        }
    }
}

#[test]
fn a_system_that_does_not_decode_has_its_reason_in_each_language() {
    let entry = |code: &str| {
        let mut entry: SystemEntry = serde_json::from_str(
            r#"{"id":"reformer","title":"Reformer","mark":1,"family":"efficient-attention","causality":"both","complexity":"",
                "exponent":1.0,"year":2020,"paper":"","arxiv":"","reference":"","summary":"","params":[]}"#,
        )
        .unwrap();
        assert_eq!(ENGLISH.no_decode_of(&entry), None);
        entry.no_decode = Some(NoDecoding { code: code.to_owned(), message: "its reason".to_owned() });
        entry
    };
    for (code, chinese) in [
        ("decode-not-causal", "之后的"),
        ("decode-other-function", "分块"),
        ("decode-whole-sequence", "整个序列"),
    ] {
        let entry = entry(code);
        assert_eq!(ENGLISH.no_decode_of(&entry).unwrap(), "Cannot generate token by token: its reason.");
        let said = CHINESE.no_decode_of(&entry).unwrap();
        assert!(said.starts_with("不能逐词元生成：") && said.ends_with('。'), "{said}");
        assert!(said.contains(chinese) || said.contains("其后"), "{said}");
    }
}
