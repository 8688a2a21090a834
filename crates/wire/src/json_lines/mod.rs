//! Events as JSON, one object a line: for programs, and to be read back.
//!
//! The names are promised: they change only with the version of this crate's format, and a reader
//! refuses a name it does not know rather than drop what it says.
//!
//! | name | value | in |
//! |---|---|---|
//! | `at` | RFC 3339, UTC, milliseconds or microseconds | every event |
//! | `at_of` | `event`, or `message` where the event had no time of its own | every event |
//! | `event` | `ports`, `address`, `pool-exhausted`, `limit-reached`, `pool-threshold`, `started`, `stopped`, `heartbeat`, `lost`, `rule-began`, `rule-held`, `rule-ended` | every event |
//! | `phase` | `begun`, `held`, `ended` | `ports`, `address` |
//! | `kind` | `block`, `mapping`, `session` | `ports` |
//! | `realm`, `internal` | the subscriber, if told | `ports`, `address`, `limit-reached` |
//! | `internal_port` | a number, if told | `ports` but blocks |
//! | `external`, `first`, `last` | the shared address, and its first and last port | `ports`; `address` has no ports |
//! | `transport` | `tcp`, `udp`, `icmp`; absent is every transport | `ports`, and the limit `ports` |
//! | `destination`, `destination_port` | the other end, if told | sessions |
//! | `since` | when it began, if told; or when the last event before a loss was | `ports`, `lost`, `rule-held` |
//! | `pool`, `blocks`, `resting`, `in_use` | numbers, if told | `pool-exhausted`, `pool-threshold` |
//! | `limit` | `blocks`, `ports`, `rate`, `state` | `limit-reached` |
//! | `level` | `high`, `low` | `pool-threshold` |
//! | `clock_error_s`, `guard_time_s`, `heartbeat_s` | decimal seconds, as text | `started` |
//! | `durability`, `loss_s` | `log-before-use`, or `bounded-loss` and of how many seconds | `started` |
//! | `continues` | true or false | `started` |
//! | `events` | how many, if known | `lost` |
//! | `rule` | the rule's name | `rule-began`, `rule-held`, `rule-ended` |
//! | `kind`, `realm`, and what the kind has | as [`Rule::fields`](portledger_model::Rule::fields) says | `rule-began`, `rule-held` |
//!
//! ```
//! use portledger_wire::json_lines;
//!
//! let line = r#"{"at":"2026-11-01T12:00:00.000Z","at_of":"event","event":"ports","phase":"begun","kind":"block","realm":"default","internal":"100.64.3.9","external":"203.0.113.7","first":1024,"last":1535}"#;
//! let event = json_lines::read(line.as_bytes())?;
//! assert_eq!(json_lines::write(&event), line);
//! # Ok::<(), json_lines::JsonLineError>(())
//! ```

pub(crate) mod fields;

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor},
    ser::SerializeMap,
};
use thiserror::Error;

use crate::event::NatEvent;
use fields::{Given, Value};

pub use fields::FieldError;

/// A line that is no event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonLineError {
    /// It is not an object of texts, numbers and truth values.
    #[error(
        "byte {column}: not a JSON object whose values are texts, whole numbers, true or false"
    )]
    Json {
        /// The byte at which reading stopped, from 1; 0 where the parser does not say.
        column: usize,
    },
    /// Its fields are no event.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// An event as one line, without a line feed.
pub fn write(event: &NatEvent) -> String {
    // Texts, numbers and truth values under names that are texts: nothing in it can fail.
    serde_json::to_string(&Line(event)).unwrap_or_default()
}

/// An event from one line.
///
/// # Errors
/// [`JsonLineError`]; it names the field and shows no value.
pub fn read(line: &[u8]) -> Result<NatEvent, JsonLineError> {
    let scalars: Scalars = serde_json::from_slice(line).map_err(|error| JsonLineError::Json {
        column: error.column(),
    })?;
    let mut given = Given::default();
    for (name, value) in scalars.0 {
        given.add(&name, &value)?;
    }
    Ok(given.event()?)
}

struct Line<'a>(&'a NatEvent);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = fields::of(self.0);
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for (name, value) in fields {
            match value {
                Value::Text(text) => map.serialize_entry(name, &text)?,
                Value::Number(number) => map.serialize_entry(name, &number)?,
                Value::Flag(flag) => map.serialize_entry(name, &flag)?,
            }
        }
        map.end()
    }
}

/// Names and values in their order, with those that stand twice.
struct Scalars(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Scalars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ScalarsVisitor)
    }
}

struct ScalarsVisitor;

impl<'de> Visitor<'de> for ScalarsVisitor {
    type Value = Scalars;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalars, A::Error> {
        let mut scalars = Vec::new();
        while let Some((name, Scalar(value))) = map.next_entry::<String, Scalar>()? {
            // More than an event has; a flood of names is not worth keeping.
            if scalars.len() == 64 {
                return Err(A::Error::custom("too many names"));
            }
            scalars.push((name, value));
        }
        Ok(Scalars(scalars))
    }
}

struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a whole number, true or false")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar(flag.to_string()))
    }
}

#[cfg(test)]
pub(crate) mod tests;
