//! Parses messages. A request may come from a page of another build or from a third party's script, so it is parsed in
//! steps with precise errors. An event comes from our own worker and is parsed at once.

use report::{Config, Report};
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Error, Map, Value};

use crate::{Event, ProtocolError, Refused, Request, WireError};

/// Longest message accepted, in bytes: a report and its envelope.
pub const MAX_MESSAGE_BYTES: usize = Report::MAX_JSON_BYTES + (64 << 10);

const REQUESTS: &str = "hello, race, cancel, visibility, verify, encodeLink, decodeLink, ping, loseDevice";
const EVENTS: &str = "ready, report, progress, done, verified, link, linked, error, pong";

impl Request {
    /// Parses a request.
    ///
    /// # Errors
    /// [`Refused`] states the reason and the request's number. Convert it to an [`Event`] for the answer.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let fields = object(text).map_err(|error| Refused { id: None, error })?;
        let id = fields.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        request(fields).map_err(|error| Refused { id, error })
    }
}

impl Event {
    /// Parses an event.
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
    // The parser limits nesting to 128 levels.
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ProtocolError::Syntax { reason: "another value".to_owned() }),
        Err(error) => Err(ProtocolError::Syntax { reason: error.to_string() }),
    }
}

/// The `type`, if it is in `known`.
fn kind(fields: &Map<String, Value>, known: &'static str) -> Result<String, ProtocolError> {
    let kind = fields.get("type").and_then(Value::as_str).ok_or(ProtocolError::NoType { known })?;
    if known.split(", ").any(|known| known == kind) {
        Ok(kind.to_owned())
    } else {
        let got = kind.chars().take(40).filter(|character| !character.is_control()).collect();
        Err(ProtocolError::UnknownType { got, known })
    }
}

/// A request of type `kind`, parsed field by field. A derived deserializer of a tagged enum buffers the message and
/// compiles the deserializer of every contained type a second time, which took a tenth of the worker's module.
fn request(fields: Map<String, Value>) -> Result<Request, ProtocolError> {
    let kind = kind(&fields, REQUESTS)?;
    let mut fields = Fields { kind, fields };
    Ok(match fields.kind.as_str() {
        "hello" => {
            fields.only(&["protocol", "variant"])?;
            Request::Hello { protocol: fields.take("protocol")?, variant: fields.take("variant")? }
        }
        // Configurations and reports, which have their own errors, are parsed after all other fields.
        "race" => {
            fields.only(&["id", "config"])?;
            let (id, config) = (fields.take("id")?, fields.take::<Value>("config")?);
            Request::Race { id, config: Box::new(Config::from_value(&config)?) }
        }
        "cancel" => {
            fields.only(&["id"])?;
            Request::Cancel { id: fields.take("id")? }
        }
        "visibility" => {
            fields.only(&["hidden"])?;
            Request::Visibility { hidden: fields.take("hidden")? }
        }
        "verify" => {
            fields.only(&["id", "backend"])?;
            Request::Verify { id: fields.take("id")?, backend: fields.take("backend")? }
        }
        "encodeLink" => {
            fields.only(&["id", "report"])?;
            let (id, report) = (fields.take("id")?, fields.take::<Value>("report")?);
            Request::EncodeLink { id, report: Box::new(Report::from_value(report)?) }
        }
        "decodeLink" => {
            fields.only(&["id", "url"])?;
            Request::DecodeLink { id: fields.take("id")?, url: fields.take("url")? }
        }
        "ping" => {
            fields.only(&["id"])?;
            Request::Ping { id: fields.take("id")? }
        }
        "loseDevice" => {
            fields.only(&[])?;
            Request::LoseDevice
        }
        got => return Err(ProtocolError::UnknownType { got: got.to_owned(), known: REQUESTS }),
    })
}

/// The fields of a request.
struct Fields {
    kind: String,
    fields: Map<String, Value>,
}

impl Fields {
    /// Refuses fields other than `type` and `known`.
    fn only(&self, known: &'static [&'static str]) -> Result<(), ProtocolError> {
        let strange = self.fields.keys().find(|name| *name != "type" && !known.contains(&name.as_str()));
        strange.map_or(Ok(()), |name| Err(self.refused(&Error::unknown_field(name, known))))
    }

    /// The value of a field.
    fn take<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, ProtocolError> {
        let value = self.fields.remove(name).ok_or_else(|| self.refused(&Error::missing_field(name)))?;
        serde_json::from_value(value).map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &serde_json::Error) -> ProtocolError {
        ProtocolError::Field { kind: self.kind.clone(), reason: error.to_string() }
    }
}
