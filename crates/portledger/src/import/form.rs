//! What a file of NAT events is written in.

use std::path::Path;

use portledger_model::{Realm, Timestamp};
use portledger_wire::{
    NatEvent,
    dialect::{Dialect, Dialects, Outcome, Reader},
    json_lines,
    syslog::{Clock, Message, read_event},
};

use crate::failure::Failure;

/// What a file is written in.
pub(super) enum Form<'d> {
    /// Our own JSON lines.
    JsonLines,
    /// Our own events in syslog (RFC 5424).
    Syslog,
    /// Another maker's lines.
    Dialect(&'d Dialect),
}

/// What came of a line.
pub(super) enum Line {
    /// Its events were appended; or it was empty.
    Events,
    /// It is no event of a NAT.
    Skipped(String),
    /// It should be one and cannot be read.
    Rejected(String),
}

impl<'d> Form<'d> {
    /// The form of that name, or the one that fits the first lines best, and that is said.
    pub(super) fn find(
        name: Option<&str>,
        dialects: &'d Dialects,
        first: &[Vec<u8>],
        path: &Path,
    ) -> Result<Self, Failure> {
        match name.filter(|name| *name != "auto") {
            Some("json-lines") => Ok(Self::JsonLines),
            Some("syslog") => Ok(Self::Syslog),
            Some(name) => dialects.get(name).map(Self::Dialect).ok_or_else(|| {
                let known = dialects.iter().map(Dialect::name).collect::<Vec<_>>();
                Failure::usage(format!(
                    "--format: '{name}' is not known; write auto, json-lines, syslog, or one of {}",
                    known.join(", ")
                ))
            }),
            None => Self::guess(dialects, first, path),
        }
    }

    fn guess(dialects: &'d Dialects, first: &[Vec<u8>], path: &Path) -> Result<Self, Failure> {
        let lines = || first.iter().map(|line| line.trim_ascii_end());
        let of = |reads: fn(&[u8]) -> bool| lines().filter(|line| reads(line)).count();
        let json_lines = of(|line| json_lines::read(line).is_ok());
        let syslog = of(|line| read_event(&Message::parse(line)).is_ok());
        let best = dialects.guess(lines()).into_iter().next();
        let (form, read) = match best {
            _ if json_lines > 0 => (Self::JsonLines, json_lines),
            _ if syslog > 0 => (Self::Syslog, syslog),
            Some(guess) if guess.with_events > 0 => {
                (Self::Dialect(guess.dialect), guess.with_events)
            }
            _ => {
                return Err(Failure::usage(format!(
                    "{}: its first {} lines are of no NAT log that is known; give --format, or describe it in a dialect file and give that with --dialect",
                    path.display(),
                    first.len()
                )));
            }
        };
        eprintln!(
            "portledger: {}: read as {}: {read} of the first {} lines are its events",
            path.display(),
            form.name(),
            first.len()
        );
        Ok(form)
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::JsonLines => "json-lines",
            Self::Syslog => "syslog",
            Self::Dialect(dialect) => dialect.name(),
        }
    }

    /// Reads lines of a device that has this clock.
    pub(super) fn reader(&self, clock: Clock, realm: &Realm) -> FormReader<'d> {
        match self {
            Self::JsonLines => FormReader::JsonLines,
            Self::Syslog => FormReader::Syslog,
            Self::Dialect(dialect) => FormReader::Dialect(Box::new(
                Reader::new(dialect, clock).in_realm(realm.clone()),
            )),
        }
    }
}

/// Reads lines.
pub(super) enum FormReader<'d> {
    JsonLines,
    Syslog,
    Dialect(Box<Reader<'d>>),
}

impl FormReader<'_> {
    /// When the lines that come next were received.
    pub(super) fn received(&mut self, at: Timestamp) {
        if let Self::Dialect(reader) = self {
            reader.received(at);
        }
    }

    pub(super) fn read(&mut self, line: &[u8], events: &mut Vec<NatEvent>) -> Line {
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
            Self::Syslog => read_event(&Message::parse(line)).map_err(|error| error.to_string()),
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
