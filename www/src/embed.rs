//! Embedded races: parses a frame's configuration from its fragment, and generates the HTML that embeds a race in
//! another page. The fragment is untrusted: it becomes a draft, as if typed, and is checked in the same way.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mixer::Task;
use report::{BackendName, Config, ConfigError, Hint, LaneConfig, LevelName, Threads, lengths_text};

use crate::draft::Draft;
use crate::text::{Text, Told};
use crate::typed;

/// Longest fragment accepted, in bytes: the length limit of links.
const MAX_BYTES: usize = 64 << 10;

/// The configuration of a frame: `systems=attention+hyena&lengths=512..16384`, or `r=…` with a link.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    fields: BTreeMap<String, String>,
}

impl Asked {
    /// Parses a fragment without its `#`. Unknown names are ignored, and the last of several values counts.
    pub fn new(fragment: &str) -> Self {
        let fragment = if fragment.len() > MAX_BYTES { "" } else { fragment };
        let pairs = form_urlencoded::parse(fragment.as_bytes());
        Self { fields: pairs.into_owned().collect() }
    }

    /// Whether it configures a race. The still image of an embed links to the page with such a fragment.
    pub fn sets_up(&self) -> bool {
        FIELDS.iter().any(|name| self.field(name).is_some())
    }

    /// The link, from `r=` on.
    pub fn link(&self) -> Option<String> {
        self.field("r").map(|link| format!("r={link}"))
    }

    /// The race as a draft, with defaults for missing fields.
    ///
    /// # Errors
    /// A message for users where a value is not among the choices. All other fields are checked with the draft.
    pub fn draft(&self, text: &Text) -> Result<Draft, String> {
        let mut draft = Draft::new(&Config::default());
        if let Some(systems) = self.field("systems") {
            draft.lanes.clear();
            for name in systems.split([' ', ',']).map(str::trim).filter(|name| !name.is_empty()) {
                // `hyena@webgpu` includes the lane's backend.
                let (system, own) =
                    name.split_once('@').map_or((name, None), |(name, own)| (name, Some(own)));
                draft.add(system);
                let backend = own.map(|own| choice("systems", own, &BACKENDS, text)).transpose()?;
                if let Some(lane) = draft.lanes.last_mut() {
                    lane.backend = backend;
                }
            }
        }
        let typed = |name: &str, place: &mut String| {
            if let Some(value) = self.field(name) {
                value.clone_into(place);
            }
        };
        if let Some(value) = self.field("mode") {
            draft.decoding = choice("mode", value, &MODES, text)?;
        }
        // The names of the other mode are refused, as in configurations.
        let (lengths, others, hint): (_, &[&str], _) = if draft.decoding {
            ("contexts", &["lengths"], Hint::UseContexts)
        } else {
            ("lengths", &["contexts", "tokens"], Hint::SetDecode)
        };
        if let Some(field) = others.iter().find(|name| self.field(name).is_some()) {
            let error = ConfigError::OtherMode { field: (*field).to_owned(), hint };
            return Err(text.told(&Told::of(&error)));
        }
        typed(lengths, &mut draft.lengths);
        typed("tokens", &mut draft.tokens);
        typed("width", &mut draft.width);
        typed("heads", &mut draft.heads);
        typed("batch", &mut draft.batch);
        typed("threads", &mut draft.threads);
        typed("seed", &mut draft.seed);
        if let Some(budget) = self.field("budgetms") {
            // An invalid number is kept as text, so that the draft's check reports it.
            draft.budget_s = typed::number(budget).map_or(budget.to_owned(), |ms| (ms / 1000.0).to_string());
        }
        if let Some(value) = self.field("causal") {
            draft.causal = choice("causal", value, &[("true", true), ("false", false)], text)?;
        }
        if let Some(value) = self.field("level") {
            draft.level = choice("level", value, &LEVELS, text)?;
        }
        if let Some(value) = self.field("backend") {
            draft.backend = choice("backend", value, &BACKENDS, text)?;
        }
        Ok(draft)
    }

    /// A field that is not empty.
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

/// Names of the fields that configure a race.
const FIELDS: [&str; 14] = [
    "systems", "mode", "lengths", "contexts", "tokens", "width", "heads", "batch", "causal", "level",
    "backend", "threads", "budgetms", "seed",
];

const BACKENDS: [(&str, BackendName); 3] =
    [("auto", BackendName::Auto), ("cpu", BackendName::Cpu), ("webgpu", BackendName::Webgpu)];
const MODES: [(&str, bool); 2] = [("forward", false), ("decode", true)];
const LEVELS: [(&str, LevelName); 2] = [("core", LevelName::Core), ("layer", LevelName::Layer)];

fn choice<T: Copy>(field: &str, typed: &str, choices: &[(&str, T)], text: &Text) -> Result<T, String> {
    choices.iter().find(|(name, _)| *name == typed).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("{field}: {}", (text.error_choice)(&names.join(", ")))
    })
}

fn name_of<T: PartialEq>(value: &T, choices: &[(&'static str, T)]) -> &'static str {
    choices.iter().find(|(_, other)| other == value).map_or("", |(name, _)| name)
}

/// Attributes of the element that races `config`, without those at their defaults. `None` where attributes cannot
/// express it: lanes with parameters of their own require a link.
pub fn attributes(config: &Config) -> Option<Vec<(&'static str, String)>> {
    let plain = Config::default();
    let mut attributes = vec![("systems", lane_names(config)?)];
    if config.mode != plain.mode {
        attributes.push(("mode", "decode".to_owned()));
    }
    attributes.push((config.mode.lengths_field(), lengths_text(&config.lengths)));
    let mut unless = |same: bool, name: &'static str, value: String| {
        if !same {
            attributes.push((name, value));
        }
    };
    if let Task::Decode { tokens } = config.mode {
        unless(tokens == Config::DEFAULT_TOKENS, "tokens", tokens.to_string());
    }
    unless(config.width == plain.width, "width", config.width.to_string());
    unless(config.heads == plain.heads, "heads", config.heads.to_string());
    unless(config.batch == plain.batch, "batch", config.batch.to_string());
    unless(config.causal == plain.causal, "causal", config.causal.to_string());
    unless(config.level == plain.level, "level", name_of(&config.level, &LEVELS).to_owned());
    unless(config.backend == plain.backend, "backend", name_of(&config.backend, &BACKENDS).to_owned());
    if let Threads::Count(count) = config.threads {
        unless(false, "threads", count.to_string());
    }
    unless(config.budget_ms == plain.budget_ms, "budgetms", config.budget_ms.to_string());
    unless(config.seed == plain.seed, "seed", config.seed.to_string());
    Some(attributes)
}

fn lane_names(config: &Config) -> Option<String> {
    let mut names = Vec::with_capacity(config.systems.len());
    for lane in &config.systems {
        names.push(match lane {
            LaneConfig::Name(name) => name.clone(),
            LaneConfig::Full(full) if full.params.is_empty() => match full.backend {
                Some(backend) => format!("{}@{}", full.system, name_of(&backend, &BACKENDS)),
                None => full.system.clone(),
            },
            LaneConfig::Full(_) => return None,
        });
    }
    Some(names.join(" "))
}

/// The HTML that embeds a race.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet<'a> {
    /// Address of the site, with a trailing slash.
    pub site: &'a str,
    /// Attributes of the element.
    pub attributes: Vec<(&'static str, String)>,
    /// The link's fragment, from `#r=` on, for readers without scripts.
    pub fragment: &'a str,
    /// Text of the link.
    pub title: &'a str,
}

impl Snippet<'_> {
    /// The HTML to paste.
    pub fn html(&self) -> String {
        let mut element = String::new();
        for (name, value) in &self.attributes {
            let _ = write!(element, " {name}=\"{}\"", escaped(value));
        }
        let site = escaped(self.site);
        format!(
            "<script type=\"module\" src=\"{site}crossover.js\"></script>\n\
             <crossover-race{element}>\n  <a href=\"{site}{}\">{}</a>\n</crossover-race>\n",
            escaped(self.fragment),
            escaped(self.title)
        )
    }
}

/// Escapes text for an attribute or an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use report::{FullLane, ParamValue};

    use super::*;
    use crate::text::ENGLISH;

    fn config(fragment: &str) -> Config {
        Asked::new(fragment).draft(&ENGLISH).unwrap().check(&[], &ENGLISH).unwrap()
    }

    /// The fragment that the element generates from attributes.
    fn fragment(attributes: &[(&'static str, String)]) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(attributes).finish()
    }

    #[test]
    fn an_empty_fragment_is_the_default_race() {
        assert_eq!(config(""), Config::default());
        assert_eq!(config("theme=dark&autoplay=visible&nonsense=1&systems="), Config::default());
    }

    #[test]
    fn a_race_survives_its_attributes() {
        let races = [
            Config::default(),
            config(
                "systems=attention+hyena%40webgpu,performer&lengths=300+64..256&width=32&heads=2&causal=false",
            ),
            config("level=core&backend=cpu&threads=3&budgetms=1500&seed=7&batch=2"),
            config("mode=decode"),
            config("mode=decode&contexts=64..256&tokens=9&systems=attention+performer"),
        ];
        for race in races {
            assert_eq!(config(&fragment(&attributes(&race).unwrap())), race);
        }
        let decode = config("mode=decode&contexts=64..256&tokens=9");
        assert_eq!((decode.mode, decode.lengths), (Task::Decode { tokens: 9 }, vec![64, 128, 256]));
        assert_eq!(config("lengths=512..2048").lengths, [512, 1024, 2048]);
        assert_eq!(config("lengths=100+200").lengths, [100, 200]);
        assert_eq!(config("lengths=1K,3e3").lengths, [1024, 3000]);
    }

    #[test]
    fn parameters_of_a_lane_need_a_link() {
        let mut race = Config::default();
        race.systems.push(LaneConfig::Full(FullLane {
            system: "hyena".to_owned(),
            backend: None,
            params: [("order".to_owned(), ParamValue::Int(3))].into(),
        }));
        assert_eq!(attributes(&race), None);
    }

    #[test]
    fn bad_values_are_refused_by_the_same_check_as_typed_ones() {
        for bad in [
            "level=deep",
            "backend=tpu",
            "causal=yes",
            "systems=hyena%40tpu",
            "level=__proto__",
            "mode=chat",
            "contexts=64",
            "tokens=9",
            "mode=decode&lengths=64",
        ] {
            assert!(Asked::new(bad).draft(&ENGLISH).is_err(), "{bad}");
        }
        for bad in [
            "width=0",
            "heads=3",
            "lengths=0",
            "lengths=9..1",
            "lengths=1e9",
            "lengths=16,384",
            "lengths=16+384",
            "budgetms=abc",
            "budgetms=1e300",
            "budgetms=NaN",
            "seed=-1",
            "threads=many",
            "systems=attention+attention",
            "mode=decode&tokens=0",
            "mode=decode&contexts=0",
        ] {
            let draft = Asked::new(bad).draft(&ENGLISH).unwrap();
            assert!(draft.check(&[], &ENGLISH).is_err(), "{bad}");
        }
        let many = "a+".repeat(MAX_BYTES);
        assert_eq!(Asked::new(&format!("systems={many}")), Asked::default());
    }

    #[test]
    fn race_fragments_are_recognised() {
        for fragment in
            ["systems=performer+linformer&lengths=100+200", "causal=false", "x=1&seed=7", "mode=decode"]
        {
            assert!(Asked::new(fragment).sets_up(), "{fragment}");
        }
        for fragment in ["", "system=hyena", "theme=dark&autoplay=visible", "r=1AAAA", "setup", "systems="] {
            assert!(!Asked::new(fragment).sets_up(), "{fragment}");
        }
    }

    #[test]
    fn a_link_is_passed_on_whole() {
        assert_eq!(Asked::new("r=1AbC-_&theme=dark").link().as_deref(), Some("r=1AbC-_"));
        assert_eq!(Asked::new("systems=hyena").link(), None);
    }

    #[test]
    fn quotes_and_markup_cannot_leave_the_snippet() {
        let snippet = Snippet {
            site: "https://example.org/a\"b/",
            attributes: vec![("systems", "\"><script>alert(1)</script>".to_owned())],
            fragment: "#r=1AA&\"",
            title: "<b>me & you</b>",
        };
        let html = snippet.html();
        assert_eq!(html.matches("<script").count(), 1, "{html}");
        assert!(html.contains("&lt;b&gt;me &amp; you&lt;/b&gt;"), "{html}");
        assert_eq!(html.matches('"').count() % 2, 0);
    }
}
