//! Messages of the engine, the formats and the page's scripts in the reader's language. A sentence is identified by its
//! code, and its arguments are formatted as numbers, bytes and times of the page. English has no catalogue, since the
//! code itself has the English sentences for the command line and the API.

#[cfg(test)]
mod tests;
pub(super) mod zh;

use mixer::Explain;
use report::{Point, Reason, ReasonArg, ReasonArgs, Warning};

use super::Text;
use chart::format;

/// A code with its sentence, in which `{name}` stands for an argument. A code may have several sentences: the first one
/// whose arguments are all present is used. `{name!}` accepts no English text and no messages of devices.
pub(super) type Form = (&'static str, &'static str);

/// Deepest nesting of reasons that is translated.
const MAX_DEPTH: u32 = 6;

/// Prefix of the codes of warnings: the `cancelled` of a race has another sentence than that of a lane.
const WARNING: &str = "warning-";

/// A message to the reader, translated when it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The code and its arguments.
    pub reason: Reason,
    /// The English sentence, or a text in the reader's language without a code.
    pub message: String,
}

impl Told {
    /// The message of an error.
    pub fn of(error: &impl Explain) -> Self {
        Self { reason: Reason::from(&error.said()), message: error.to_string() }
    }

    /// A text of the page itself.
    pub fn plain(message: impl Into<String>) -> Self {
        Self { reason: Reason::new(""), message: message.into() }
    }
}

impl Text {
    /// The sentence with this code and these arguments in this language; `english` where there is none.
    pub fn explain(&self, code: &str, args: &ReasonArgs, english: &str) -> String {
        sentence(self.catalogue, code, args, MAX_DEPTH).unwrap_or_else(|| english.to_owned())
    }

    /// The message in this language.
    pub fn told(&self, told: &Told) -> String {
        self.explain(&told.reason.code, &told.reason.args, &told.message)
    }

    /// Whether there is a sentence for this code with these argument names.
    pub fn can_say(&self, code: &str, args: &[&str]) -> bool {
        self.catalogue.iter().any(|(known, form)| {
            let mut holes = form.split('{').skip(1).filter_map(|part| part.split('}').next());
            *known == code && holes.all(|hole| args.contains(&hole.trim_end_matches('!')))
        })
    }

    /// The reason for a point's outcome, if it says more than the outcome's name. Links and older reports have English
    /// only.
    pub fn reason(&self, point: &Point) -> Option<String> {
        match (&point.reason, &point.message) {
            (Some(reason), message) => {
                let english = message.as_deref().unwrap_or_default();
                Some(self.explain(&reason.code, &reason.args, english)).filter(|said| !said.is_empty())
            }
            (None, message) => message.as_deref().map(|message| self.old(message)),
        }
    }

    /// A warning's message. Links and older reports have English only.
    pub fn warning(&self, warning: &Warning) -> String {
        sentence(self.catalogue, &format!("{WARNING}{}", warning.code), &warning.args, MAX_DEPTH)
            .unwrap_or_else(|| self.old(&warning.message))
    }
}

fn sentence(forms: &[Form], code: &str, args: &ReasonArgs, depth: u32) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    forms.iter().filter(|(known, _)| *known == code).find_map(|(_, form)| fill(forms, form, args, depth))
}

fn fill(forms: &[Form], form: &str, args: &ReasonArgs, depth: u32) -> Option<String> {
    let mut parts = form.split('{');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (name, after) = part.split_once('}')?;
        let arg = args.get(name.trim_end_matches('!'))?;
        text += &word(forms, arg, name.ends_with('!'), depth)?;
        text += after;
    }
    Some(text)
}

/// An argument, formatted for the page; `None` for a text that this language lacks.
fn word(forms: &[Form], arg: &ReasonArg, strict: bool, depth: u32) -> Option<String> {
    match arg {
        ReasonArg::Number(number) => Some(format::number(*number)),
        ReasonArg::Bytes { bytes } => Some(format::bytes(*bytes)),
        ReasonArg::Time { ns } => Some(format::time(ns / 1e6)),
        ReasonArg::Text(text) if strict && text.contains(' ') => None,
        ReasonArg::Text(text) => Some(text.clone()),
        ReasonArg::Reason(reason) => sentence(forms, &reason.code, &reason.args, depth),
    }
}
