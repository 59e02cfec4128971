//! The JSON Schema of reports, derived from the wire types, so that it is never outdated. It states shapes and ranges.
//! Conditions between fields (a lane for each system, ascending lengths) are checked by [`Report::validate`] only.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};

use crate::config::Fields;
use crate::resolve::MAX_THREADS;
use crate::{Config, Report, Threads};

impl JsonSchema for Threads {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Threads".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`auto` or a number.",
            "anyOf": [
                { "const": "auto" },
                { "type": "integer", "minimum": 1, "maximum": MAX_THREADS }
            ]
        })
    }
}

impl JsonSchema for Config {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Fields::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Fields::json_schema(generator)
    }
}

/// The schema of a report (JSON Schema 2020-12).
pub fn report_schema() -> serde_json::Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Report>();
    schema.insert("title".to_owned(), format!("Crossover report, format {}", crate::SCHEMA_VERSION).into());
    schema.to_value()
}
