//! Strips a WGSL file for the modules that visitors download: removes comments and needless blanks. Lines are kept, so
//! that the line of an error is that of the file.

/// The file without comments and needless blanks, with an unchanged number of lines.
pub fn strip(source: &str) -> String {
    source.lines().flat_map(|line| [squeezed(line), "\n".to_owned()]).collect()
}

fn squeezed(line: &str) -> String {
    let code = line.split("//").next().unwrap_or_default();
    let mut result = String::with_capacity(code.len());
    for token in code.split_whitespace() {
        let before = result.chars().next_back();
        let after = token.chars().next();
        if before.zip(after).is_some_and(|(before, after)| must_part(before, after)) {
            result.push(' ');
        }
        result.push_str(token);
    }
    result
}

/// Whether two adjacent characters would form one token: two of a word, or two of an operator, as in `a - -b`.
fn must_part(before: char, after: char) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let is_operator = |c: char| !is_word(c) && !"(){}[],;:@".contains(c);
    (is_word(before) && is_word(after)) || (is_operator(before) && is_operator(after))
}
