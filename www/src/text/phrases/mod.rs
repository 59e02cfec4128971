//! What older reports and links say, in the reader's language: they hold English sentences without codes. A sentence is
//! known by its form, whatever names and numbers it carries; what has no known form stays as it came. New sentences
//! have codes and belong into `said`, not here.

#[cfg(test)]
mod tests;
pub(super) mod zh;

/// A form of an English sentence, with `{}` for what varies, and the same in another language with `{0}`, `{1}` in its own
/// order. `{1!}` wants a part that has no English in it: without, the next form is tried.
pub(super) type Phrase = (&'static str, &'static str);

/// Deepest nesting of sentences in sentences. Foreign text may look like one too.
const MAX_DEPTH: u32 = 5;

/// `english` by the first of `phrases` that it has the form of.
pub(super) fn translate(phrases: &[Phrase], english: &str) -> Option<String> {
    translate_at(phrases, english, MAX_DEPTH)
}

fn translate_at(phrases: &[Phrase], english: &str, depth: u32) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    phrases.iter().find_map(|(form, other)| fill(other, &holes(form, english)?, phrases, depth))
}

/// What stands in the holes of `form`, if `text` has that form.
fn holes<'a>(form: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut literals = form.split("{}");
    let mut rest = text.strip_prefix(literals.next()?)?;
    let mut found = Vec::new();
    let mut literals = literals.peekable();
    while let Some(literal) = literals.next() {
        let (hole, after) = if literals.peek().is_none() {
            (rest.strip_suffix(literal)?, "")
        } else {
            rest.split_once(literal)?
        };
        found.push(hole);
        rest = after;
    }
    rest.is_empty().then_some(found)
}

/// `form` with its holes filled, each translated where it is a sentence of its own.
fn fill(form: &str, holes: &[&str], phrases: &[Phrase], depth: u32) -> Option<String> {
    let mut parts = form.split('{');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (number, after) = part.split_once('}')?;
        let strict = number.ends_with('!');
        let hole = holes.get(number.trim_end_matches('!').parse::<usize>().ok()?)?;
        match translate_at(phrases, hole, depth) {
            Some(translated) => text += &translated,
            None if strict && hole.contains(' ') => return None,
            None => text += hole,
        }
        text += after;
    }
    Some(text)
}
