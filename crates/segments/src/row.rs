//! One allocation as a segment keeps it.

use std::{fmt, net::Ipv4Addr};

use portledger_model::{PortRange, RecordNumber, Span, Timestamp, Transport};

/// A subscriber's place in the segment's [`Dictionary`](crate::Dictionary), from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberNumber(pub u32);

/// A device's place in the segment's [`Dictionary`](crate::Dictionary), from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber(pub u16);

/// One allocation as a segment keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The shared address.
    pub external: Ipv4Addr,
    /// The ports, which are identifiers for ICMP.
    pub ports: PortRange,
    /// The one transport it is for; `None` is every transport.
    pub transport: Option<Transport>,
    /// When it was handed out, by the device's clock.
    pub from: Timestamp,
    /// When it was released; `None` where it was held on beyond this segment.
    pub to: Option<Timestamp>,
    /// No record tells of its release: `to` is when the next allocation of its ports began.
    pub concluded: bool,
    /// Who held it.
    pub subscriber: SubscriberNumber,
    /// The device that handed it out.
    pub device: DeviceNumber,
    /// The record that told of it first.
    pub opened: RecordNumber,
}

impl Row {
    /// What rows are sorted by: external address, first port, start. Rows equal in all three may
    /// stand in any order.
    pub const fn order(&self) -> (u32, u16, i64) {
        (
            self.external.to_bits(),
            self.ports.first(),
            self.from.as_micros(),
        )
    }

    /// The time for which it was held: a microsecond at least, as
    /// [`Allocation::span`](portledger_model::Allocation::span).
    pub fn span(&self) -> Span {
        span(self.from, self.to)
    }
}

/// Who held an endpoint and when: a [`Row`] but for its address, which is that of the question, and
/// for its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The ports.
    pub ports: PortRange,
    /// The one transport it is for; `None` is every transport.
    pub transport: Option<Transport>,
    /// When it was handed out.
    pub from: Timestamp,
    /// When it was given back; `None` where it was held on beyond the segment.
    pub to: Option<Timestamp>,
    /// As [`Row::concluded`].
    pub concluded: bool,
    /// Who held it.
    pub subscriber: SubscriberNumber,
    /// The device that handed it out.
    pub device: DeviceNumber,
}

impl Holder {
    /// The time for which it was held: a microsecond at least, as [`Row::span`].
    pub fn span(&self) -> Span {
        span(self.from, self.to)
    }

    pub(crate) const fn into_row(self, external: Ipv4Addr, opened: RecordNumber) -> Row {
        Row {
            external,
            ports: self.ports,
            transport: self.transport,
            from: self.from,
            to: self.to,
            concluded: self.concluded,
            subscriber: self.subscriber,
            device: self.device,
            opened,
        }
    }
}

/// The time from `from` to `to`, a microsecond at least.
pub(crate) fn span(from: Timestamp, to: Option<Timestamp>) -> Span {
    let to = to.unwrap_or(Timestamp::MAX);
    Span::new(from, to.max(from.after(Span::TICK)))
}

/// How fine the times in a segment are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resolution {
    /// Whole milliseconds: an eighth smaller files than microseconds. The writer refuses a finer
    /// time.
    Millis,
    /// Microseconds, which hold every time.
    #[default]
    Micros,
}

impl Resolution {
    /// The coarsest that holds all of `times`.
    pub fn of(times: impl IntoIterator<Item = Timestamp>) -> Self {
        if times.into_iter().all(|time| time.as_micros() % 1_000 == 0) {
            Self::Millis
        } else {
            Self::Micros
        }
    }

    /// Microseconds of one step.
    pub(crate) const fn micros(self) -> i64 {
        match self {
            Self::Millis => 1_000,
            Self::Micros => 1,
        }
    }
}

/// A transport by its protocol number in the IPv4 header, which is how the files keep it.
pub(crate) fn transport(number: u32) -> Option<Transport> {
    u8::try_from(number)
        .ok()
        .and_then(Transport::from_protocol_number)
}

/// One record as a segment keeps it: an event of a device, what it says of a block, and in
/// `details` what it says besides.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// Its number in the ledger.
    pub number: RecordNumber,
    /// When it happened, by the device's clock.
    pub at: Timestamp,
    /// The device it happened on.
    pub device: DeviceNumber,
    /// What happened: a number whose meaning is the caller's.
    pub kind: u8,
    /// The block, where the event is about one.
    pub block: Option<RecordBlock>,
    /// Whom it is about.
    pub subscriber: Option<SubscriberNumber>,
    /// Since when, where the event says so.
    pub since: Option<Timestamp>,
    /// What else the event says, as the caller writes it: at most 4,096 bytes. Empty is none.
    pub details: String,
}

/// The ports that a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordBlock {
    /// The shared address.
    pub external: Ipv4Addr,
    /// The ports.
    pub ports: PortRange,
    /// The one transport it is for; `None` is every transport.
    pub transport: Option<Transport>,
}

/// Details may name a subscriber: they are not shown.
impl fmt::Debug for RecordRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordRow")
            .field("number", &self.number)
            .field("at", &self.at)
            .field("device", &self.device)
            .field("kind", &self.kind)
            .field("block", &self.block)
            .field("subscriber", &self.subscriber)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}
