//! What lines of NAT events are written in.

use portledger_model::{Realm, Timestamp};
use portledger_wire::{
    NatEvent,
    dialect::{Dialect, Dialects, Outcome, Reader, Untimed},
    json_lines,
    syslog::{Clock, ExportError, Message, read_event},
};
use thiserror::Error;

/// What lines are written in.
#[derive(Debug, Clone, Copy)]
pub enum Form<'d> {
    /// Our own JSON lines.
    JsonLines,
    /// Our own events in syslog (RFC 5424).
    Syslog,
    /// Another maker's lines.
    Dialect(&'d Dialect),
}

/// A name that no form has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{name}' is not known; write auto, json-lines, syslog, or one of {known}")]
pub struct UnknownForm {
    name: String,
    known: String,
}

/// What came of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Its events were appended; or it was empty.
    Events,
    /// It is no event of a NAT.
    Skipped(String),
    /// It should be one and cannot be read.
    Rejected(String),
}

impl<'d> Form<'d> {
    /// The form of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str, dialects: &'d Dialects) -> Result<Self, UnknownForm> {
        match name {
            "json-lines" => Ok(Self::JsonLines),
            "syslog" => Ok(Self::Syslog),
            name => dialects.get(name).map(Self::Dialect).ok_or_else(|| {
                let known = dialects.iter().map(Dialect::name).collect::<Vec<_>>();
                UnknownForm {
                    name: name.to_owned(),
                    known: known.join(", "),
                }
            }),
        }
    }

    /// The form that fits the lines best, and how many of them are its events; `None` where none
    /// of them is one of any form.
    pub fn guess<'l>(
        lines: impl Iterator<Item = &'l [u8]> + Clone,
        dialects: &'d Dialects,
    ) -> Option<(Self, usize)> {
        let of = |reads: fn(&[u8]) -> bool| lines.clone().filter(|line| reads(line)).count();
        let json_lines = of(|line| json_lines::read(line).is_ok());
        let syslog = of(|line| read_event(&Message::parse(line)).is_ok());
        if json_lines > 0 {
            return Some((Self::JsonLines, json_lines));
        }
        if syslog > 0 {
            return Some((Self::Syslog, syslog));
        }
        let best = dialects.guess(lines).into_iter().next()?;
        (best.with_events > 0).then_some((Self::Dialect(best.dialect), best.with_events))
    }

    /// Its name, as [`Form::named`] takes it.
    pub fn name(&self) -> &'d str {
        match self {
            Self::JsonLines => "json-lines",
            Self::Syslog => "syslog",
            Self::Dialect(dialect) => dialect.name(),
        }
    }

    /// Reads lines of a device that has this clock.
    pub fn reader(&self, clock: Clock, realm: &Realm, untimed: Untimed) -> FormReader<'d> {
        match self {
            Self::JsonLines => FormReader::JsonLines,
            Self::Syslog => FormReader::Syslog,
            Self::Dialect(dialect) => FormReader::Dialect(Box::new(
                Reader::new(dialect, clock)
                    .in_realm(realm.clone())
                    .untimed(untimed),
            )),
        }
    }
}

/// Reads lines.
#[derive(Debug)]
pub enum FormReader<'d> {
    /// Our own JSON lines.
    JsonLines,
    /// Our own events in syslog.
    Syslog,
    /// Another maker's lines.
    Dialect(Box<Reader<'d>>),
}

impl FormReader<'_> {
    /// When the lines that come next were received.
    pub fn received(&mut self, at: Timestamp) {
        if let Self::Dialect(reader) = self {
            reader.received(at);
        }
    }

    /// Reads a line and appends its events.
    pub fn read(&mut self, line: &[u8], events: &mut Vec<NatEvent>) -> Line {
        if line.trim_ascii().is_empty() {
            return Line::Events;
        }
        let event = match self {
            Self::Dialect(reader) => {
                return match reader.read(line, events) {
                    Outcome::Events(_) => Line::Events,
                    Outcome::Nothing(what) => Line::Skipped(what.to_owned()),
                    Outcome::Rejected(rejection) => Line::Rejected(rejection.to_string()),
                };
            }
            Self::JsonLines => json_lines::read(line).map_err(|error| error.to_string()),
            Self::Syslog => match read_event(&Message::parse(line)) {
                Err(other @ ExportError::NotOurs) => return Line::Skipped(other.to_string()),
                event => event.map_err(|error| error.to_string()),
            },
        };
        match event {
            Ok(event) => {
                events.push(event);
                Line::Events
            }
            Err(reason) => Line::Rejected(reason),
        }
    }
}
