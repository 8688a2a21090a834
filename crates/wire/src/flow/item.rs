//! What comes out of decoding.

use std::time::Duration;

use portledger_model::Timestamp;
use thiserror::Error;

use crate::NatEvent;

/// What a [`Session`](super::Session) says of the bytes it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A NAT event.
    Event {
        /// The observation domain (IPFIX) or source (NetFlow v9) it is from.
        domain: u32,
        /// What happened.
        event: NatEvent,
    },
    /// Something was not understood; the rest goes on.
    Rejected {
        /// The byte of the datagram, or of the message in a stream, at which it begins.
        offset: usize,
        /// What is wrong.
        why: Reject,
    },
    /// The sequence numbers show that something was sent and did not arrive.
    Gap {
        /// The domain it is missing from.
        domain: u32,
        /// How much is missing.
        missing: u32,
        /// Of what.
        unit: Unit,
        /// By the device's clock: what is missing happened after this. The earliest event of the
        /// last message before the loss.
        since: Timestamp,
        /// By the device's clock: what is missing happened before this. The time in the header of
        /// the first message after the loss, whose second is over.
        until: Timestamp,
    },
    /// The numbers began again: the exporter did. What it had not yet sent is lost, and how much
    /// that is nobody can say.
    Restarted {
        /// The domain whose numbers began again.
        domain: u32,
        /// By the device's clock: as for a gap.
        since: Timestamp,
        /// By the device's clock: as for a gap.
        until: Timestamp,
    },
    /// The numbers of a domain follow no order: several processes send in it, each with its own
    /// numbers. From here on they are not looked at, and what is lost of this domain goes
    /// unnoticed: it is never complete.
    Disordered {
        /// The domain.
        domain: u32,
        /// By the device's clock: as for a gap.
        since: Timestamp,
    },
    /// Data waited for its template in vain and is gone.
    Dropped {
        /// The domain it was from.
        domain: u32,
        /// The template it waited for.
        template: u16,
        /// The data set without its header, for whoever keeps aside what was not understood.
        /// It may hold subscribers' addresses.
        set: Unread,
        /// By the device's clock: the header's time of the message before it, where there was one.
        since: Timestamp,
        /// By the device's clock: the header's time of its own message, whose second is over.
        until: Timestamp,
    },
}

/// Bytes that nobody could read; `Debug` shows how many.
#[derive(Clone, PartialEq, Eq)]
pub struct Unread(pub Box<[u8]>);

impl std::fmt::Debug for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unread({} bytes, redacted)", self.0.len())
    }
}

/// What a sequence number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Data records (IPFIX, RFC 7011 §3.1).
    Records,
    /// Messages (NetFlow v9, RFC 3954 §5.1).
    Messages,
}

/// Why something was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reject {
    /// Neither IPFIX nor NetFlow v9.
    #[error(
        "version {0} is neither IPFIX (10) nor NetFlow v9 (9): have the exporter send one of these"
    )]
    Version(u16),
    /// Shorter than its header.
    #[error("{got} bytes, and the header alone has {needed}")]
    Short {
        /// Bytes a header has.
        needed: usize,
        /// Bytes there are.
        got: usize,
    },
    /// The header's length is not the message's.
    #[error("the message says it has {said} bytes, and {got} arrived")]
    MessageLength {
        /// What the header says.
        said: usize,
        /// What there is.
        got: usize,
    },
    /// A set's length is less than its header or runs over the message.
    #[error("set {id} says it has {said} bytes, and {left} are left")]
    SetLength {
        /// The set's number.
        id: u16,
        /// What it says.
        said: usize,
        /// What is left in the message.
        left: usize,
    },
    /// A record of a variable length runs over its set.
    #[error("a record of template {template} runs over the end of its set")]
    RecordLength {
        /// The template.
        template: u16,
    },
    /// A template that cannot be.
    #[error("template {template}: {why}")]
    Template {
        /// The template.
        template: u16,
        /// What is wrong.
        why: Lie,
    },
    /// No room for another template.
    #[error("template {template}: there is room for {room} templates, and they are in use")]
    TooManyTemplates {
        /// The template.
        template: u16,
        /// How many there may be.
        room: usize,
    },
    /// No room for another domain.
    #[error("observation domain {domain}: there is room for {room} of one exporter")]
    TooManyDomains {
        /// The domain.
        domain: u32,
        /// How many there may be.
        room: usize,
    },
    /// A NAT event that lacks what it needs or says what cannot be.
    #[error("record of template {template}: {why}")]
    Record {
        /// The template.
        template: u16,
        /// What is wrong.
        why: BadRecord,
    },
}

/// What a template says that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Lie {
    /// A number below 256 names no template (RFC 7011 §3.4.1).
    #[error("template numbers begin at 256")]
    Number,
    /// It has no fields.
    #[error("it has no fields")]
    NoFields,
    /// It has more fields than anyone sends.
    #[error("{0} fields are more than the {max} that are read", max = super::template::MAX_FIELDS)]
    TooManyFields(usize),
    /// It says more fields than there are bytes for.
    #[error("it says more fields than its set has bytes for")]
    CutShort,
    /// Its records have no bytes.
    #[error("its records have no bytes")]
    EmptyRecord,
    /// Its records are longer than any message.
    #[error("its records are longer than any message")]
    RecordTooLong,
    /// A field has a length that its type does not allow.
    #[error("element {element} cannot have {length} bytes")]
    FieldLength {
        /// The element's number.
        element: u16,
        /// The length it is said to have.
        length: u16,
    },
    /// An options template with more scope than fields, or with none.
    #[error("its scope has {0} fields, which cannot be")]
    Scope(usize),
    /// Options templates of NetFlow v9 count bytes, four a field.
    #[error("its fields do not fill the {0} bytes it says they have")]
    OptionBytes(usize),
}

/// What is wrong with a record that should be a NAT event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadRecord {
    /// It names no external address.
    #[error("no external IPv4 address")]
    NoExternalAddress,
    /// It names no external port.
    #[error("no external port and no range of them")]
    NoExternalPort,
    /// It names no subscriber, and nothing else would be left.
    #[error("no internal address")]
    NoInternalAddress,
    /// An event number that nobody defined.
    #[error("natEvent {0} is unknown")]
    UnknownEvent(u64),
    /// The port range has no end or has one before its beginning.
    #[error("its port range ends nowhere, before it begins or above 65535")]
    PortRange,
    /// The port range's end and its number of ports are of different ranges.
    #[error("its port range's end does not agree with the number of ports")]
    PortRangeDisagrees,
    /// The ports of the range are not neighbours and too many to list one by one.
    #[error("{0} ports that are not neighbours are too many for one record")]
    TooManyRanges(u32),
    /// A time after the year 9999.
    #[error("a time after the year 9999")]
    AbsurdTime,
    /// The quota or threshold number is unknown, in either byte order.
    #[error("natQuotaExceededEvent or natThresholdEvent {0} is unknown")]
    UnknownLimit(u64),
    /// The realm's name is too long to be kept.
    #[error("a realm's name of {0} bytes is too long")]
    RealmName(usize),
}

/// What a session counted since it began. Everything that arrived is in one of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages with a header that could be read.
    pub messages: u64,
    /// Data records that were NAT events.
    pub event_records: u64,
    /// Events they became: more than records where ports are not neighbours.
    pub events: u64,
    /// Data records about something else.
    pub other_records: u64,
    /// Templates defined, repeated ones included.
    pub templates: u64,
    /// Templates whose number meant something else before, without a withdrawal.
    pub redefined: u64,
    /// Templates withdrawn.
    pub withdrawn: u64,
    /// Templates that were not repeated in time.
    pub expired: u64,
    /// Sets with reserved numbers, skipped (RFC 7011 §3.3.2).
    pub reserved_sets: u64,
    /// What was not understood: the items [`Item::Rejected`].
    pub rejected: u64,
    /// Records missing by the sequence numbers.
    pub missing_records: u64,
    /// Messages missing by the sequence numbers.
    pub missing_messages: u64,
    /// Messages that came late, or twice.
    pub out_of_order: u64,
    /// Times an exporter began again.
    pub restarts: u64,
    /// Data sets that had to wait for their template.
    pub waited_sets: u64,
    /// Of these, sets that waited in vain.
    pub dropped_sets: u64,
}

/// How much a session may keep. What is over a bound is refused and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Observation domains of one exporter.
    pub domains: usize,
    /// Templates, over all domains.
    pub templates: usize,
    /// Bytes of memory for templates, over all domains.
    pub template_bytes: usize,
    /// How long a template lives that is not repeated, over datagrams. RFC 7011 §8.4 asks for at
    /// least three times the exporter's refresh time, of which half an hour is the longest common.
    pub template_life: Duration,
    /// Bytes of data that wait for their template.
    pub waiting_bytes: usize,
    /// How long data waits for its template: longer than an exporter takes to repeat it.
    pub waiting_time: Duration,
    /// How many later messages may overtake one before it counts as lost.
    pub reorder_messages: u32,
    /// How long a message may be overtaken before it counts as lost.
    pub reorder_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            domains: 64,
            templates: 512,
            template_bytes: 1 << 20,
            template_life: Duration::from_secs(3 * 1_800),
            waiting_bytes: 4 << 20,
            waiting_time: Duration::from_secs(2_000),
            reorder_messages: 16,
            reorder_time: Duration::from_secs(2),
        }
    }
}
