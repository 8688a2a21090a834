//! What comes of a line or a packet: a sighting, or why there is none.

use std::fmt;

use portledger_model::Sighting;
use thiserror::Error;

/// What comes of one line of a log, or one packet of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// A remote endpoint was seen.
    Sighting(Sighting),
    /// It is well-formed and says nothing of a remote endpoint.
    Skipped(Skip),
    /// It could not be read.
    Rejected(Rejection),
}

/// Why something well-formed holds no sighting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// Nothing but space, or a comment.
    Blank,
    /// The header of a table.
    Header,
    /// A syslog line of another program.
    OtherProgram,
    /// A line of the server that names no remote endpoint.
    NoClient,
    /// A packet of a connection that was seen before.
    KnownConnection,
    /// A packet that ends or answers a connection which was not seen.
    NotBeginning,
    /// A packet on the way to an address that is none of the servers'.
    NotServerBound,
    /// A packet of a transport without ports, or an ICMP message that is no echo request.
    NoPort,
    /// A later fragment: the ports are in the first.
    Fragment,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blank => "blank or a comment",
            Self::Header => "the header of the table",
            Self::OtherProgram => "of another program",
            Self::NoClient => "names no client's endpoint",
            Self::KnownConnection => "of a connection seen before",
            Self::NotBeginning => "the end of or the answer to what was not seen",
            Self::NotServerBound => "not on the way to a server",
            Self::NoPort => "of a protocol without ports",
            Self::Fragment => "a later fragment of a packet",
        })
    }
}

/// Why something could not be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, byte {column}: {reason}")]
pub struct Rejection {
    /// The line, or the packet of a capture, from 1.
    pub line: u64,
    /// The byte of the line or packet at which reading stopped, from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// The line departs from the format's own text.
    #[error("expected '{expected}': the line is not of this format, or it was cut short")]
    Literal {
        /// What the format has here.
        expected: String,
    },
    /// The line goes on after the format's end.
    #[error("the line goes on after the format's end: it is of another format")]
    Trailing,
    /// Free text in the line lets it be read in two ways, one of which a client made up.
    #[error(
        "the line can be read in two ways, since the format has client-chosen text without quotes around it"
    )]
    Ambiguous,
    /// Nothing stands where the client's address should.
    #[error("no client address")]
    NoAddress,
    /// The client came through a UNIX domain socket, so it has no address.
    #[error("the client came through a UNIX domain socket, so it has no address or port")]
    UnixSocket,
    /// A host name stands where the address should.
    #[error("a host name instead of an address: switch the server's host name lookups off")]
    HostName,
    /// The client is behind a trusted proxy, and nothing that is trusted tells who it is.
    #[error("a trusted proxy connected, and no header that is believed names the client behind it")]
    BehindProxy,
    /// A port that is no number up to 65,535.
    #[error("not a port: expected a number up to 65535")]
    Port,
    /// Something that is no time.
    #[error("not a time of the expected form ({expected})")]
    Time {
        /// An example of the form.
        expected: &'static str,
    },
    /// A date or a time of day that does not exist.
    #[error("no such date or time of day")]
    NoSuchTime,
    /// A local time that clocks leapt over.
    #[error("clocks in the given zone leapt over this time: is the zone right?")]
    InGap,
    /// A date without a year, and no reference time to tell it by.
    #[error("the date has no year, and no reference time was given to tell it by")]
    NoYear,
    /// A field of the format that holds something else.
    #[error("expected {expected}")]
    Value {
        /// What belongs here.
        expected: &'static str,
    },
    /// A row with fewer columns than the header.
    #[error("the row has {found} columns, the header {expected}")]
    Columns {
        /// How many the row has.
        found: usize,
        /// How many the header has.
        expected: usize,
    },
    /// A quoted field without an end.
    #[error("the quoted field that begins here has no end on its line")]
    OpenQuote,
    /// A header without what a sighting needs.
    #[error("the header names no {missing} column; it needs address and time, port where known")]
    HeaderColumn {
        /// Which column.
        missing: &'static str,
    },
    /// A packet that is not IPv4 or whose headers are cut short.
    #[error("not a whole {header} header")]
    Packet {
        /// Which header.
        header: &'static str,
    },
}

impl Reason {
    /// A short name that does not change with the line: to count by.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Literal { .. } | Self::Value { .. } => "not of this format",
            Self::Trailing => "longer than the format",
            Self::Ambiguous => "readable in two ways",
            Self::NoAddress => "no client address",
            Self::UnixSocket => "UNIX domain socket",
            Self::HostName => "host name instead of an address",
            Self::BehindProxy => "client unknown behind a trusted proxy",
            Self::Port => "not a port",
            Self::Time { .. } => "not a time",
            Self::NoSuchTime => "no such date or time of day",
            Self::InGap => "time that clocks leapt over",
            Self::NoYear => "date without a year",
            Self::Columns { .. } => "wrong number of columns",
            Self::OpenQuote => "quoted field without an end",
            Self::HeaderColumn { .. } => "header without a needed column",
            Self::Packet { .. } => "packet cut short or not IPv4",
        }
    }
}

/// How many lines or packets came to what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Sightings.
    pub sightings: u64,
    /// Of these, sightings whose port was written as 0, which is what Apache's `mod_remoteip`
    /// leaves of it: their port is `None`.
    pub port_zero: u64,
    /// What held no sighting, by why.
    pub skipped: Vec<(Skip, u64)>,
    /// What could not be read, by [`Reason::name`].
    pub rejected: Vec<(&'static str, u64)>,
}

impl Counts {
    pub(crate) fn add(&mut self, reading: &Reading) {
        match reading {
            Reading::Sighting(_) => self.sightings += 1,
            Reading::Skipped(skip) => add_one(&mut self.skipped, *skip),
            Reading::Rejected(rejection) => add_one(&mut self.rejected, rejection.reason.name()),
        }
    }
}

fn add_one<K: PartialEq>(counts: &mut Vec<(K, u64)>, key: K) {
    match counts.iter_mut().find(|(known, _)| *known == key) {
        Some((_, count)) => *count += 1,
        None => counts.push((key, 1)),
    }
}
