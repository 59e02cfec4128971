//! The playground's texts about systems: READMEs beside the kernels, shared by readers of the code and of the page, in
//! both languages. Markdown becomes HTML and LaTeX becomes MathML at build time, so that the page needs no code for
//! either.

use std::collections::BTreeMap;
use std::fs;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, html};
use pulldown_latex::config::{DisplayMode, RenderConfig};
use pulldown_latex::{Storage, push_mathml};
use serde_json::{Value, json};

use crate::Outcome;
use crate::error::TaskError;
use crate::run::root;

#[cfg(test)]
mod tests;

/// A language: its README files, and their required headings in this order, before any others.
pub struct Language {
    /// Language part of file names: `systems/hyena.en.json`.
    pub tag: &'static str,
    file: &'static str,
    headings: [&'static str; 5],
    /// Heading of the table of parameters; in English the code has the explanations.
    params: Option<&'static str>,
}

/// The languages, English first.
pub const LANGUAGES: [Language; 2] = [
    Language {
        tag: "en",
        file: "README.md",
        headings: ["Formula", "Complexity", "What it gives up", "Claims", "Source"],
        params: None,
    },
    Language {
        tag: "zh",
        file: "README.zh.md",
        headings: ["公式", "复杂度", "放弃了什么", "论文的主张", "来源"],
        params: Some("参数"),
    },
];

/// A parsed README.
#[derive(Debug, PartialEq)]
pub struct Readme {
    /// Text between the title and the first heading.
    idea: String,
    /// Headings with their text.
    sections: Vec<(String, String)>,
}

/// Parses the README of a system in a language.
///
/// # Errors
/// [`TaskError::File`], or [`TaskError::Readme`] for a missing part.
pub fn read(folder: &str, language: &Language) -> Outcome<Readme> {
    let parent = parent(folder);
    let path = root().join(parent).join(folder).join(language.file);
    let text = fs::read_to_string(&path).map_err(TaskError::file("read", &path))?;
    parse(&text, language).map_err(|message| TaskError::Readme {
        name: format!("{parent}/{folder}/{}", language.file),
        message,
    })
}

/// The folder that has a system's folder: tests see a fixture beside the systems that are served.
fn parent(folder: &str) -> &'static str {
    const SERVED: &str = "kernels/src/systems";
    const FIXTURE: &str = "kernels/src/fixture";
    let is_fixture = cfg!(test) && root().join(FIXTURE).join(folder).is_dir();
    if is_fixture { FIXTURE } else { SERVED }
}

fn parse(text: &str, language: &Language) -> Result<Readme, String> {
    let mut sections: Vec<(String, String)> = Vec::new();
    let mut idea = String::new();
    let mut fenced = false;
    let mut lines = text.lines();
    if !lines.next().is_some_and(|line| line.starts_with("# ")) {
        return Err("the first line must be the title, `# …`".to_owned());
    }
    for line in lines {
        fenced ^= line.starts_with("```");
        if let Some(heading) = line.strip_prefix("## ").filter(|_| !fenced) {
            sections.push((heading.trim().to_owned(), String::new()));
            continue;
        }
        let body = sections.last_mut().map_or(&mut idea, |(_, body)| body);
        body.push_str(line);
        body.push('\n');
    }
    if idea.trim().is_empty() {
        return Err("the idea in three sentences must follow the title".to_owned());
    }
    let required = language.headings.iter().chain(&language.params);
    for (index, heading) in required.enumerate() {
        match sections.get(index) {
            Some((got, body)) if got == heading && !body.trim().is_empty() => {}
            got => {
                let got = got.map_or("nothing", |(got, _)| got.as_str());
                return Err(format!("section {} must be `## {heading}`, with text, not {got}", index + 1));
            }
        }
    }
    Ok(Readme { idea, sections })
}

impl Readme {
    fn body(&self, heading: &str) -> &str {
        self.sections.iter().find(|(name, _)| name == heading).map_or("", |(_, body)| body)
    }

    /// The BibTeX entry.
    fn bibtex(&self) -> Option<String> {
        self.sections.iter().flat_map(|(_, body)| fences(body, "bibtex")).next()
    }

    /// The parameters' explanations, from the rows `| \`name\` | words |` of their table.
    fn params(&self, language: &Language) -> BTreeMap<String, String> {
        let table = language.params.map_or("", |heading| self.body(heading));
        table
            .lines()
            .filter_map(|line| {
                let (name, words) = line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | ")?;
                Some((name.to_owned(), words.trim().to_owned()))
            })
            .collect()
    }
}

/// The contents of the fenced blocks of a language.
fn fences(markdown: &str, kind: &str) -> Vec<String> {
    let opening = format!("```{kind}\n");
    let parts = markdown.split(&opening).skip(1);
    parts.filter_map(|rest| Some(rest.split_once("\n```")?.0.to_owned())).collect()
}

/// The page of a system as HTML: the idea, the required sections, and the other sections.
fn page(readme: &Readme, language: &Language) -> Result<Value, String> {
    let n = language.headings.len();
    let mut main = String::new();
    for (heading, body) in &readme.sections[..n] {
        for piece in ["<h3>", heading, "</h3>\n", &to_html(body, language)?] {
            main.push_str(piece);
        }
    }
    let mut more = String::new();
    for (heading, body) in &readme.sections[n + usize::from(language.params.is_some())..] {
        for piece in ["<h3>", heading, "</h3>\n", &to_html(body, language)?] {
            more.push_str(piece);
        }
    }
    Ok(
        json!({ "idea": to_html(&readme.idea, language)?, "main": main, "more": more, "bibtex": readme.bibtex() }),
    )
}

/// Markdown as HTML, with formulas as MathML and without BibTeX, which the page shows separately.
fn to_html(markdown: &str, language: &Language) -> Result<String, String> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_MATH;
    let mut events = Vec::new();
    let mut fence: Option<(String, String)> = None;
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let name =
                    if let CodeBlockKind::Fenced(name) = kind { name.to_string() } else { String::new() };
                fence = Some((name, String::new()));
            }
            Event::Text(text) if fence.is_some() => {
                if let Some((_, body)) = &mut fence {
                    body.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => match fence.take() {
                Some((name, body)) if name == "math" => {
                    events.push(Event::Html(
                        format!("<div class=\"formula\" tabindex=\"0\">{}</div>\n", mathml(&body, true)?)
                            .into(),
                    ));
                }
                Some((name, _)) if name == "bibtex" => {}
                Some((name, _)) => {
                    return Err(format!("a code block of the kind `{name}`: use ```math or ```bibtex"));
                }
                None => {}
            },
            // Chinese has no spaces between sentences.
            Event::SoftBreak if language.tag == "zh" => {}
            Event::InlineMath(latex) => events.push(Event::InlineHtml(mathml(&latex, false)?.into())),
            Event::DisplayMath(latex) => events.push(Event::InlineHtml(mathml(&latex, true)?.into())),
            Event::Html(text) | Event::InlineHtml(text) => return Err(format!("HTML of its own: {text}")),
            // Links between READMEs have no target on the page.
            Event::Start(Tag::Link { ref dest_url, .. }) if !dest_url.starts_with("https://") => {
                return Err(format!("a link that is not https: {dest_url}"));
            }
            Event::Start(Tag::Link { dest_url, .. }) => events.push(Event::InlineHtml(
                format!("<a href=\"{}\" target=\"_blank\" rel=\"noopener\">", escaped(&dest_url)).into(),
            )),
            Event::End(TagEnd::Link) => events.push(Event::InlineHtml("</a>".into())),
            event => events.push(event),
        }
    }
    let mut text = String::new();
    html::push_html(&mut text, events.into_iter());
    // Wide tables scroll instead of the page.
    Ok(text
        .replace("<table>", "<div class=\"scroll\" tabindex=\"0\"><table>")
        .replace("</table>", "</table></div>"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

fn mathml(latex: &str, block: bool) -> Result<String, String> {
    let storage = Storage::new();
    let events: Vec<_> = pulldown_latex::Parser::new(latex, &storage).collect();
    if let Some(Err(error)) = events.iter().find(|event| event.is_err()) {
        return Err(format!("LaTeX `{}`: {error}", latex.trim()));
    }
    let config = RenderConfig {
        display_mode: if block { DisplayMode::Block } else { DisplayMode::Inline },
        ..RenderConfig::default()
    };
    let mut text = String::new();
    push_mathml(&mut text, events.into_iter(), config).map_err(|error| error.to_string())?;
    Ok(text)
}

/// Name of a system's folder.
fn folder_of(id: &str) -> String {
    id.replace('-', "_")
}

/// The site's files about the systems: the catalogue in each language and a page for each system and language.
///
/// # Errors
/// [`TaskError::Readme`] or [`TaskError::File`], or a parameter that a language does not explain.
pub fn files(catalogue: &[Value], patterns: &Value) -> Outcome<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for language in &LANGUAGES {
        let mut translated = catalogue.to_vec();
        for entry in &mut translated {
            let id = entry["id"].as_str().unwrap_or_default().to_owned();
            let folder = folder_of(&id);
            let readme = read(&folder, language)?;
            let fault = |message| TaskError::Readme {
                name: format!("kernels/src/systems/{folder}/{}", language.file),
                message,
            };
            if language.params.is_some() {
                translate(entry, &readme, language).map_err(fault)?;
            }
            let mut page = page(&readme, language).map_err(fault)?;
            page["patterns"] = patterns[&id].clone();
            files.insert(format!("systems/{id}.{}.json", language.tag), page.to_string().into_bytes());
        }
        let name = if language.params.is_none() {
            "systems.json".to_owned()
        } else {
            format!("systems.{}.json", language.tag)
        };
        files.insert(name, format!("{:#}\n", Value::Array(translated)).into_bytes());
    }
    Ok(files)
}

/// Adds the texts of a language to an entry of the catalogue.
fn translate(entry: &mut Value, readme: &Readme, language: &Language) -> Result<(), String> {
    // The first sentence is the summary.
    let first = readme.idea.trim().split_inclusive('。').next().unwrap_or_default();
    entry["summary"] = json!(first);
    let words = readme.params(language);
    for param in entry["params"].as_array_mut().into_iter().flatten() {
        let name = param["name"].as_str().unwrap_or_default();
        match words.get(name) {
            Some(words) => param["help"] = json!(words),
            None => return Err(format!("the parameter `{name}` is not explained")),
        }
    }
    Ok(())
}
