//! Strings from drivers, browsers and strangers: what may be kept, and how to show the rest.

/// Longest piece of foreign text that an error message quotes, in characters.
const MAX_SHOWN: usize = 60;

/// Whether a character may stand in a report: no control characters, no line separators, none that reorder text.
fn allowed(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Whether `text` is at most `max` characters, all of them allowed.
pub(crate) fn is_clean(text: &str, max: usize) -> bool {
    text.chars().take(max + 1).count() <= max && text.chars().all(allowed)
}

/// `text` with what is not allowed replaced by spaces, cut to `max` characters.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let mut kept: String =
        text.chars().take(max).map(|character| if allowed(character) { character } else { ' ' }).collect();
    if text.chars().nth(max).is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// `text` as an error message may quote it.
pub(crate) fn shown(text: &str) -> String {
    clean(text, MAX_SHOWN)
}

/// Whether `text` is a name of ours: lower case, digits and hyphens, at most 40 characters.
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
    fn cuts_by_characters_and_says_so() {
        assert_eq!(clean("ééééé", 3), "éé…");
        assert_eq!(clean("ééé", 3), "ééé");
        assert!(!is_clean("ééé", 2));
        assert_eq!(shown(&"x".repeat(10_000)).chars().count(), MAX_SHOWN);
    }

    #[test]
    fn ids_are_plain() {
        assert!(is_id("monarch-mixer") && is_id("liquid-s4"));
        for bad in ["", "Attention", "__proto__", "a b", "é", &"a".repeat(41)] {
            assert!(!is_id(bad), "{bad:?}");
        }
    }
}
