//! What the engine, the formats and the page's scripts say, in the reader's language: a sentence is known by its code,
//! and its arguments are written as the page writes numbers, bytes and times. English needs no catalogue here, since it
//! comes with the code: the command line and the API say the same.

#[cfg(test)]
mod tests;
pub(super) mod zh;

use mixer::Explain;
use report::{Point, Reason, ReasonArg, ReasonArgs, Warning};

use super::Text;
use chart::format;

/// A code with its sentence, `{name}` where an argument goes. A code may have several: the first whose arguments are all
/// there is taken. `{name!}` takes no words of a language, which English input and devices' words may be.
pub(super) type Form = (&'static str, &'static str);

/// Deepest nesting of reasons that is said.
const MAX_DEPTH: u32 = 6;

/// What stands before the code of a warning: a race's `cancelled` is another sentence than a lane's.
const WARNING: &str = "warning-";

/// Something to tell the reader, whichever language the page speaks by then.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What it is.
    pub reason: Reason,
    /// In English, or in words of the reader's language that have no code.
    pub message: String,
}

impl Told {
    /// What an error says.
    pub fn of(error: &impl Explain) -> Self {
        Self { reason: Reason::from(&error.said()), message: error.to_string() }
    }

    /// Words that the page has chosen itself.
    pub fn plain(message: impl Into<String>) -> Self {
        Self { reason: Reason::new(""), message: message.into() }
    }
}

impl Text {
    /// What has this code and these arguments, in this language; `english` where there is no sentence for it.
    pub fn explain(&self, code: &str, args: &ReasonArgs, english: &str) -> String {
        sentence(self.catalogue, code, args, MAX_DEPTH).unwrap_or_else(|| english.to_owned())
    }

    /// Something to tell, in this language.
    pub fn told(&self, told: &Told) -> String {
        self.explain(&told.reason.code, &told.reason.args, &told.message)
    }

    /// Whether there is a sentence for this code with arguments of these names.
    pub fn can_say(&self, code: &str, args: &[&str]) -> bool {
        self.catalogue.iter().any(|(known, form)| {
            let mut holes = form.split('{').skip(1).filter_map(|part| part.split('}').next());
            *known == code && holes.all(|hole| args.contains(&hole.trim_end_matches('!')))
        })
    }

    /// Why a point is as it is, where there is more to say than its outcome. Links and reports of older versions have
    /// English alone.
    pub fn reason(&self, point: &Point) -> Option<String> {
        match (&point.reason, &point.message) {
            (Some(reason), message) => {
                let english = message.as_deref().unwrap_or_default();
                Some(self.explain(&reason.code, &reason.args, english)).filter(|said| !said.is_empty())
            }
            (None, message) => message.as_deref().map(|message| self.old(message)),
        }
    }

    /// A warning. Links and reports of older versions have English alone.
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

/// An argument as the page writes it; nothing where it is in words that the language does not have.
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
