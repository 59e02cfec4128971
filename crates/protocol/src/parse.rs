//! Reading messages. A request may come from a page of another build or from a stranger's script, so it is read in
//! steps that can say what is wrong; an event comes from our own worker and is read at one go.

use report::{Config, Report};
use serde_json::{Map, Value};

use crate::{Event, ProtocolError, Refused, Request, WireError};

/// Longest message accepted: a report and its envelope.
pub const MAX_MESSAGE_BYTES: usize = Report::MAX_JSON_BYTES + (64 << 10);

const REQUESTS: &str = "hello, race, cancel, visibility, verify, encodeLink, decodeLink, ping, loseDevice";
const EVENTS: &str = "ready, report, progress, done, verified, link, linked, error, pong";

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Refused`] says why, and which request it was; make it an [`Event`] to answer.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let fields = object(text).map_err(|error| Refused { id: None, error })?;
        let id = fields.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        request(fields).map_err(|error| Refused { id, error })
    }
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// [`ProtocolError`].
    pub fn parse(text: &str) -> Result<Self, ProtocolError> {
        if text.len() > MAX_MESSAGE_BYTES {
            return Err(ProtocolError::TooLarge { got: text.len(), limit: MAX_MESSAGE_BYTES });
        }
        serde_json::from_str(text).or_else(|error| {
            let kind = kind(&object(text)?, EVENTS)?;
            Err(ProtocolError::Field { kind, reason: error.to_string() })
        })
    }
}

impl From<&Refused> for Event {
    fn from(refused: &Refused) -> Self {
        Self::Error { id: refused.id, error: WireError::from(&refused.error) }
    }
}

fn object(text: &str) -> Result<Map<String, Value>, ProtocolError> {
    if text.len() > MAX_MESSAGE_BYTES {
        return Err(ProtocolError::TooLarge { got: text.len(), limit: MAX_MESSAGE_BYTES });
    }
    // Nesting is capped by the parser (128 levels).
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ProtocolError::Syntax { reason: "another value".to_owned() }),
        Err(error) => Err(ProtocolError::Syntax { reason: error.to_string() }),
    }
}

/// The `type`, if it is among `known`.
fn kind(fields: &Map<String, Value>, known: &'static str) -> Result<String, ProtocolError> {
    let kind = fields.get("type").and_then(Value::as_str).ok_or(ProtocolError::NoType { known })?;
    if known.split(", ").any(|known| known == kind) {
        Ok(kind.to_owned())
    } else {
        let got = kind.chars().take(40).filter(|character| !character.is_control()).collect();
        Err(ProtocolError::UnknownType { got, known })
    }
}

fn request(mut fields: Map<String, Value>) -> Result<Request, ProtocolError> {
    let kind = kind(&fields, REQUESTS)?;
    // What has words of its own for its mistakes is read apart, once everything around it is known to be right.
    let (name, stand_in) = match kind.as_str() {
        "race" => ("config", serde_json::to_value(Config::default())),
        "encodeLink" => ("report", serde_json::to_value(empty_report())),
        _ => ("", Ok(Value::Null)),
    };
    let field =
        |error: serde_json::Error| ProtocolError::Field { kind: kind.clone(), reason: error.to_string() };
    let part = fields.get_mut(name).map(|part| stand_in.map(|stand_in| std::mem::replace(part, stand_in)));
    let part = part.transpose().map_err(field)?;
    let mut request: Request = serde_json::from_value(Value::Object(fields)).map_err(field)?;
    match (&mut request, part) {
        (Request::Race { config, .. }, Some(part)) => **config = Config::from_value(&part)?,
        (Request::EncodeLink { report, .. }, Some(part)) => **report = Report::from_value(part)?,
        _ => {}
    }
    Ok(request)
}

fn empty_report() -> Report {
    Report {
        schema: report::SCHEMA_VERSION,
        config: Config::default(),
        environment: report::Environment::default(),
        started_at_ms: None,
        status: report::Status::Done,
        lanes: Vec::new(),
        crossovers: Vec::new(),
        warnings: Vec::new(),
    }
}
