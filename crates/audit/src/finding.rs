//! What an audit found that somebody should know.

use std::fmt;

use portledger_servers::config::Place;
use serde::Serialize;

/// One thing found, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing: stable, for programs.
    pub rule: Rule,
    /// Where: a line of a configuration file, or a file.
    pub place: Option<Place>,
    /// What was found there and what to do, in a sentence.
    pub message: String,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Answers may be ambiguous, or readers break.
    Warning,
    /// The log cannot answer, or answers wrongly.
    Error,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $severity:ident, $about:literal;)+) => {
        /// The kinds of findings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $($(#[$doc])* $name,)+ }

        impl Rule {
            /// All, in the order of this list.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name for programs, which does not change.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            /// How much it matters.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// What it is about, for people.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)+ }
            }
        }
    };
}

rules! {
    /// The log has no source port.
    NoSourcePort = "no-source-port", Error, "the log does not record the source port (RFC 6302 §2)";
    /// The log has no client address.
    NoSourceAddress = "no-source-address", Error, "the log does not record who connected";
    /// The server logs no connections at all.
    NoLog = "no-log", Error, "the server writes no log of connections";
    /// Times are local and have no offset.
    LocalTime = "local-time", Warning, "times are local and have no offset: in the repeated hour two instants match";
    /// Times have no year.
    NoYear = "no-year", Warning, "times have no year";
    /// Times are of whole seconds or coarser.
    CoarseTime = "coarse-time", Note, "times are of whole seconds";
    /// The port that is logged is a proxy's.
    HopPort = "hop-port", Error, "the port that is logged is the proxy's, not the client's";
    /// The client's port is lost behind a proxy.
    PortLost = "port-lost", Error, "a proxy in front hides the client's port";
    /// A header is believed from anybody.
    UntrustedProxy = "untrusted-proxy", Warning, "the client's address is taken from a header that anybody can send";
    /// Several ports are served and the log does not say which.
    NoDestinationPort = "no-destination-port", Note, "several ports are served and the log does not say which was meant";
    /// Requests or connections that the settings leave out.
    Incomplete = "incomplete", Note, "some connections leave no trace in the log";
    /// A program that reads the log would not understand it.
    ReaderBreaks = "reader-breaks", Warning, "a program that reads this log does not understand its lines";
    /// The clock is not synchronised, or nobody knows.
    ClockUnsynchronised = "clock-unsynchronised", Warning, "the clock is not known to be synchronised";
    /// Part of the configuration could not be read.
    Unreadable = "unreadable", Warning, "part of the configuration could not be read";
    /// Rotation throws the log away early, or never.
    Retention = "retention", Note, "how long the log is kept";
    /// The log's recent lines are not what the configuration promises.
    LinesDiffer = "lines-differ", Warning, "recent lines are not what the configuration promises";
    /// A remark.
    Remark = "remark", Note, "good to know";
}

impl Finding {
    /// A finding at a line of a configuration file.
    pub fn at(rule: Rule, place: &Place, message: impl Into<String>) -> Self {
        Self {
            rule,
            place: Some(place.clone()),
            message: message.into(),
        }
    }

    /// A finding about a server as a whole.
    pub fn new(rule: Rule, message: impl Into<String>) -> Self {
        Self {
            rule,
            place: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut fields = serializer.serialize_struct("Finding", 5)?;
        fields.serialize_field("rule", self.rule.id())?;
        fields.serialize_field("severity", &self.rule.severity())?;
        fields.serialize_field("file", &self.place.as_ref().map(|place| &*place.file))?;
        fields.serialize_field("line", &self.place.as_ref().map(|place| place.line))?;
        fields.serialize_field("message", &self.message)?;
        fields.end()
    }
}
