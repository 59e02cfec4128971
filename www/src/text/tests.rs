//! Checks that the compiler cannot do: texts left in English, and missing arguments.

use super::*;

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
