//! Checks of a report's texts. `mixer::text` cleans texts for display.

use mixer::text::allowed;
pub(crate) use mixer::text::{clean, shown};

/// Whether `text` has at most `max` characters, all of them allowed.
pub(crate) fn is_clean(text: &str, max: usize) -> bool {
    text.chars().take(max + 1).count() <= max && text.chars().all(allowed)
}

/// Whether `text` is an identifier: lower-case letters, digits and hyphens, at most 40 characters.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Whether `text` can name a parameter: letters, digits and underscores, at most 40 characters.
pub(crate) fn is_param_name(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_25_control_and_bidi_characters_do_not_pass() {
        for bad in ["a\nb", "a\0", "\u{202e}gnp.exe", "\u{2066}x", "a\u{2028}b", "\u{feff}a", "\u{200b}"] {
            assert!(!is_clean(bad, 100), "{bad:?}");
            assert!(is_clean(&clean(bad, 100), 100), "{bad:?}");
        }
        assert!(is_clean("Größe: 4 µs, 中文", 100));
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert!(is_clean("ééé", 3) && !is_clean("ééé", 2));
    }

    #[test]
    fn ids_are_plain() {
        assert!(is_id("monarch-mixer") && is_id("liquid-s4"));
        for bad in ["", "Attention", "__proto__", "a b", "é", &"a".repeat(41)] {
            assert!(!is_id(bad), "{bad:?}");
        }
    }
}
