//! How each maker's NAT writes its log, as data.
//!
//! A dialect is a small file: an operator adds one without rebuilding anything. Ours are in
//! `data/dialects`, and built in.
//!
//! ```text
//! dialect file ──▶ Dialect ──┐
//! line ──────────────────────┴─▶ Reader ──▶ Outcome: events, nothing (why), rejected (where, why)
//! ```
//!
//! # A dialect file
//!
//! | key | says |
//! |---|---|
//! | `name`, `about` | what the dialect is called, and of which devices it is |
//! | `source` | the documents it was made from |
//! | `zone` | the zone of times without one, where the maker promises it: `UTC`, `+01:00`, `Europe/Berlin` |
//! | `several = true` | a line may hold several records |
//! | `[realms]` | what the device's names of realms mean here; `""` is the realm of a reader that is told none |
//! | `[[message]]` | one kind of line each; the first that fits counts |
//!
//! | key of a message | says |
//! |---|---|
//! | `is` | what people call it |
//! | `has`, `lacks` | texts that all of its lines have, and texts that none has |
//! | `pattern` | its text, with fields in braces; or: |
//! | `keys` | which key of `key=value` has which field; `key#2` is the second of its name, `a\|b` is whichever there is; behind a pattern, if there are both |
//! | `event` | `block`, `mapping`, `session`, `address`, `exhausted`, `limit` (with `limit`), and `nothing` or `refused` (with `why`) |
//! | `phase` | `begun`, `held` or `ended` |
//! | `words` | the words for these in the field `phase`, where a field says it |
//!
//! In a pattern a space stands for one or more, `{_}` for a word and `{*}` for anything up to the
//! text behind it. It begins where its first text is found, or with `^` where the message begins
//! behind its header, and with `$` it ends where the line does.
//!
//! | field | is |
//! |---|---|
//! | `internal`, `internal-port` | the subscriber's address, and the port it uses itself |
//! | `internal-endpoint`, `external-endpoint`, `destination-endpoint` | address and port (or ports) in one: `192.0.2.1:80`, `192.0.2.1/80`, `192.0.2.1%0:1024-1535` |
//! | `tunnel` | the IPv6 address of the subscriber's B4 (DS-Lite): where told, it is the subscriber |
//! | `realm` | the realm, virtual router, instance |
//! | `external` | the shared address |
//! | `port`, or `first` with `last` or `count` | the shared ports |
//! | `step` | the distance between them; only 1 is a range |
//! | `transport` | a name or a number |
//! | `destination`, `destination-port` | the other end |
//! | `phase` | a word of `words` |
//! | `time:FORM` | when it happened |
//! | `since:FORM` | when what it is about began |
//! | `stamp:FORM` | one of the two, and the header's time tells which |
//! | `duration:FORM` | how long what ended had lasted: `s`, `ms`, `clock` (1:02:03) |
//! | `pool` | the pool's number |
//!
//! The forms of a time: `date` (as people write it, from the largest part down or with a month's
//! name), `month-first`, `day-first`, `epoch` (seconds, with a fraction or without), `epoch-ms`,
//! `epoch-any` (by the number of digits), `epoch-hex`. A message without a time has its header's.
//!
//! ```
//! use portledger_wire::dialect::{Dialect, Outcome, Reader};
//! use portledger_wire::syslog::Clock;
//!
//! let dialect = Dialect::parse("ours.toml", r#"
//!     name = "ours"
//!     about = "The NAT we built ourselves"
//!     [[message]]
//!     is = "block"
//!     pattern = "{phase} block {external}:{first}+{count} for {internal} at {time:epoch}"
//!     event = "block"
//!     words = { took = "begun", left = "ended" }
//! "#);
//! // A field has no text of its own by which a line could be recognised.
//! assert_eq!(
//!     dialect.unwrap_err().to_string(),
//!     "ours.toml, line 6: a pattern begins with text, or with '^' for the start of the message"
//! );
//!
//! let dialect = Dialect::parse("ours.toml", r#"
//!     name = "ours"
//!     about = "The NAT we built ourselves"
//!     [[message]]
//!     is = "block"
//!     pattern = "nat: {phase} block {external}:{first}+{count} for {internal} at {time:epoch}"
//!     event = "block"
//!     words = { took = "begun", left = "ended" }
//! "#)?;
//! let clock = Clock::new("2026-11-21T08:00:00Z".parse()?);
//! let mut reader = Reader::new(&dialect, clock);
//! let mut events = Vec::new();
//! let line = b"<14>nat: took block 203.0.113.7:1024+512 for 100.64.3.9 at 1795247969.25";
//! assert_eq!(reader.read(line, &mut events), Outcome::Events(1));
//! assert_eq!(events[0].at.timestamp().to_string(), "2026-11-21T07:59:29.250Z");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod built_in;
mod fields;
mod file;
mod guess;
mod message;
mod pairs;
mod pattern;
mod reader;
mod reading;
mod rules;
mod values;

use jiff::tz::TimeZone;
use portledger_model::Realm;

pub use file::DialectError;
pub use guess::Guess;
pub use reader::{Reader, Untimed};
pub use reading::{Outcome, Reason, Rejection};

use message::Message;

/// What is said of a line that no message fits.
pub const NO_MESSAGE: &str = "no message of this dialect";

/// How one maker's NAT writes its log.
#[derive(Debug, Clone)]
pub struct Dialect {
    name: Box<str>,
    about: Box<str>,
    source: Vec<Box<str>>,
    zone: Option<TimeZone>,
    several: bool,
    realms: Vec<NamedRealm>,
    messages: Vec<Message>,
}

/// What a device calls a realm, and what it is; `None` is that of a reader that is told none.
type NamedRealm = (Box<[u8]>, Option<Realm>);

impl Dialect {
    /// From a dialect file's text; `file` is its name, for errors.
    ///
    /// # Errors
    /// [`DialectError`] with the line and what to do.
    pub fn parse(file: &str, text: &str) -> Result<Self, DialectError> {
        file::read(file, text)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which devices write it.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The documents it was made from.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.source.iter().map(|source| &**source)
    }

    /// The names of its messages.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.messages.iter().map(|message| &*message.name)
    }

    /// What a device's name for a realm means.
    fn realm(&self, told: &[u8], default: &Realm) -> Result<Realm, Reason> {
        if let Some((_, realm)) = self.realms.iter().find(|(known, _)| **known == *told) {
            return Ok(realm.clone().unwrap_or_else(|| default.clone()));
        }
        let name = std::str::from_utf8(told).map_err(|_| Reason::Realm)?;
        Realm::new(name).map_err(|_| Reason::Realm)
    }
}

/// Dialects to choose from.
#[derive(Debug, Clone, Default)]
pub struct Dialects(Vec<Dialect>);

impl Dialects {
    /// Those that are built in.
    pub fn built_in() -> Self {
        Self(built_in::all())
    }

    /// Adds one; it takes the place of one with its name.
    pub fn add(&mut self, dialect: Dialect) {
        self.0.retain(|known| known.name != dialect.name);
        self.0.push(dialect);
    }

    /// The one with this name.
    pub fn get(&self, name: &str) -> Option<&Dialect> {
        self.iter().find(|dialect| dialect.name() == name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Dialect> {
        self.0.iter()
    }
}
