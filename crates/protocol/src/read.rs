//! Parses an event directly from its text. The derived deserializer of a tagged enum would give an equal result, but it
//! buffers the whole message and compiles every type twice, which took a third of the page's module.

use report::{Config, Environment, Report, SystemEntry};
use serde::Deserialize;

use crate::{Event, VerifyResult, WireError};

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: Option<u32>,
}

#[derive(Deserialize)]
struct Ready {
    protocol: u32,
    environment: Box<Environment>,
    systems: Vec<SystemEntry>,
}

#[derive(Deserialize)]
struct WithReport {
    report: Box<Report>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    fraction: f64,
    remaining_ms: f64,
    lane: u32,
    length: u32,
    activity: String,
}

#[derive(Deserialize)]
struct Verified {
    result: VerifyResult,
}

#[derive(Deserialize)]
struct Link {
    fragment: String,
}

#[derive(Deserialize)]
struct Linked {
    config: Box<Config>,
    report: Option<Box<Report>>,
}

#[derive(Deserialize)]
struct Failed {
    error: WireError,
}

impl Event {
    /// Parses an event from JSON, with the result of `serde_json::from_str`.
    ///
    /// # Errors
    /// The parser's error.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let head: Head = serde_json::from_str(text)?;
        let missing = || serde::de::Error::custom("missing field `id`");
        let id = || head.id.ok_or_else(missing);
        Ok(match head.kind.as_str() {
            "ready" => {
                let Ready { protocol, environment, systems } = serde_json::from_str(text)?;
                Self::Ready { protocol, environment, systems }
            }
            "report" => {
                let WithReport { report } = serde_json::from_str(text)?;
                Self::Report { id: id()?, report }
            }
            "progress" => {
                let Progress { fraction, remaining_ms, lane, length, activity } = serde_json::from_str(text)?;
                Self::Progress { id: id()?, fraction, remaining_ms, lane, length, activity }
            }
            "done" => {
                let WithReport { report } = serde_json::from_str(text)?;
                Self::Done { id: id()?, report }
            }
            "verified" => {
                let Verified { result } = serde_json::from_str(text)?;
                Self::Verified { id: id()?, result }
            }
            "link" => {
                let Link { fragment } = serde_json::from_str(text)?;
                Self::Link { id: id()?, fragment }
            }
            "linked" => {
                let Linked { config, report } = serde_json::from_str(text)?;
                Self::Linked { id: id()?, config, report }
            }
            "error" => {
                let Failed { error } = serde_json::from_str(text)?;
                Self::Error { id: head.id, error }
            }
            "pong" => Self::Pong { id: id()? },
            other => return Err(serde::de::Error::custom(format!("unknown event `{other}`"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Event> {
        let report: Report = serde_json::from_str(
            r#"{"schema":1,"config":{},"environment":{},"startedAtMs":null,"status":"running","lanes":[],"crossovers":[],"warnings":[]}"#,
        )
        .unwrap();
        let error = WireError::new("x", "words");
        let result = VerifyResult {
            system: "hyena".to_owned(),
            case: "small".to_owned(),
            level: "core".to_owned(),
            backend: "cpu".to_owned(),
            max_abs: None,
            max_rel: Some(1e-7),
            pass: true,
            tolerance: crate::Tolerance { abs: 1e-6, rel: 1e-5 },
            unread: vec!["dropout".to_owned()],
        };
        vec![
            Event::Ready { protocol: 1, environment: Box::default(), systems: Vec::new() },
            Event::Report { id: 3, report: Box::new(report.clone()) },
            Event::Progress {
                id: 3,
                fraction: 0.5,
                remaining_ms: 1e3,
                lane: 1,
                length: 512,
                activity: "sampling".to_owned(),
            },
            Event::Done { id: 3, report: Box::new(report.clone()) },
            Event::Verified { id: 4, result },
            Event::Link { id: 5, fragment: "#r=x".to_owned() },
            Event::Linked { id: 6, config: Box::default(), report: Some(Box::new(report)) },
            Event::Linked { id: 6, config: Box::default(), report: None },
            Event::Error { id: None, error: error.clone() },
            Event::Error { id: Some(7), error },
            Event::Pong { id: 8 },
        ]
    }

    #[test]
    fn reads_what_the_derived_reader_reads() {
        for event in events() {
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(Event::from_json(&text).unwrap(), event);
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        }
    }

    #[test]
    fn refuses_what_is_not_an_event() {
        for text in [
            "",
            "null",
            "{}",
            r#"{"type":"boom"}"#,
            r#"{"type":"report","id":1}"#,
            r#"{"type":"pong"}"#,
            "[]",
        ] {
            assert!(Event::from_json(text).is_err(), "{text}");
        }
    }
}
