//! Cleaning of untrusted strings (from drivers, browsers, links and files) for display.

/// Longest piece of untrusted text that an error message quotes, in characters.
const MAX_SHOWN: usize = 60;

/// Whether a character may be shown: no control characters (a terminal obeys them), no line separators, and none that
/// reorder or hide text.
pub fn allowed(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `text` with every other character replaced by a space, cut to `max` characters.
pub fn clean(text: &str, max: usize) -> String {
    let mut kept: String =
        text.chars().take(max).map(|character| if allowed(character) { character } else { ' ' }).collect();
    if text.chars().nth(max).is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// `text`, cleaned and cut for a quotation in an error message.
pub fn shown(text: &str) -> String {
    clean(text, MAX_SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_25_control_and_bidi_characters_are_not_shown() {
        for bad in
            ["a\nb", "a\u{1b}[2J", "a\u{9b}m", "\u{202e}gnp.exe", "\u{2066}x", "a\u{2028}b", "\u{feff}a"]
        {
            assert!(!bad.chars().all(allowed) && clean(bad, 100).chars().all(allowed), "{bad:?}");
        }
        assert_eq!(clean("Größe: 4 µs, 中文", 100), "Größe: 4 µs, 中文");
    }

    #[test]
    fn cuts_by_characters_and_says_so() {
        assert_eq!(clean("ééééé", 3), "éé…");
        assert_eq!(clean("ééé", 3), "ééé");
        assert_eq!(shown(&"x".repeat(10_000)).chars().count(), MAX_SHOWN);
    }
}
