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
//! The keys of such a file, and its fields, are in `data/dialects/README.md`:
//!
#![doc = include_str!("../../../../data/dialects/README.md")]
//! # In the program
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
