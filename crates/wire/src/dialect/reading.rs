//! What comes of a line.

use std::sync::Arc;

use thiserror::Error;

use crate::syslog::TimeError;

/// What came of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<'d> {
    /// So many events, one or more, which were appended.
    Events(usize),
    /// It is no event of a NAT, and this is why: to be counted, not to be kept aside.
    Nothing(&'d str),
    /// It should be an event and cannot be read. Where a line holds several records, those that
    /// can be read were appended.
    Rejected(Rejection),
}

/// Why a line is no event, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("byte {column}: {reason}")]
pub struct Rejection {
    /// The byte at which reading stopped, from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// Why a line is no event. None of it shows the line's text, which holds subscribers' addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// The line departs from the message's pattern.
    #[error(
        "this is not how '{message}' goes on: was the line cut short, or is it of another release? If so, give it a pattern of its own in a dialect file"
    )]
    Departs {
        /// The dialect's name of the message.
        message: Arc<str>,
    },
    /// A field cannot be read.
    #[error("{field} cannot be read in '{message}'")]
    Unreadable {
        /// The dialect's name of the message.
        message: Arc<str>,
        /// The field.
        field: &'static str,
    },
    /// The device does not say what a ledger needs.
    #[error("{0}")]
    Refused(Box<str>),
    /// A field that an event cannot do without.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A range that is none.
    #[error("the port range ends before it begins")]
    EndsBeforeItBegins,
    /// First port and count lead past 65535.
    #[error("the ports go beyond 65535")]
    BeyondTheLastPort,
    /// A count of zero.
    #[error("the record is of no ports at all")]
    NoPorts,
    /// Last port and count are of different ranges.
    #[error("the last port and the number of ports disagree: which of them does the device mean?")]
    CountDisagrees,
    /// A step of more than one.
    #[error("the ports are not consecutive: a block is a range here (RFC 7768)")]
    Scattered,
    /// The external side is IPv6.
    #[error("the external address is IPv6, where nothing is shared")]
    ExternalIsIpv6,
    /// A realm's name that cannot be one.
    #[error(
        "the realm's name cannot be used: say in the dialect's [realms] what to call it, with 1 to 64 letters, digits, '.', '_' or '-'"
    )]
    Realm,
    /// More realms than a device has.
    #[error("more than {0} realms: is the realm really what the dialect takes for it?")]
    TooManyRealms(usize),
    /// No time anywhere.
    #[error("neither the message nor its header has a time")]
    NoTime,
    /// A time before there were such logs, or more than a day after the line was received.
    #[error(
        "the time is before 2000 or more than a day after it was received: is the device's clock set?"
    )]
    Unlikely,
    /// A time that is no instant.
    #[error(transparent)]
    Time(#[from] TimeError),
}
