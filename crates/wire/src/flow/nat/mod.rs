//! What a record tells of a NAT.
//!
//! A record is read by its fields more than by its number: makers number by different drafts of
//! RFC 8158, and the fields they send show what they mean. Where number and fields leave two
//! readings, the record is refused.

mod numbered;
mod translated;

use std::net::Ipv6Addr;

use portledger_model::{Internal, Ipv6Prefix, PortRange, Subscriber, Timestamp, Transport};

use super::{
    clock::{self, Absurd, Clock, Clocks, Sent},
    item::BadRecord,
    life,
    realm::Realms,
    slots::{Row, Slot},
    template::{Meaning, Template},
};
use crate::{EventTime, NatEvent, Told};

/// A record may tell of so many ports that are not neighbours.
const MAX_SINGLE_PORTS: u32 = 4_096;

/// What decoding a record needs besides its bytes.
pub(super) struct Context<'a> {
    pub(super) sent: Sent,
    pub(super) realms: &'a mut Realms,
    /// Juniper's numbers (of an earlier draft) were seen in this domain.
    pub(super) draft_numbers: &'a mut bool,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// So many events.
    Events(u32),
    /// It is about something else than a shared IPv4 address and its ports.
    Other,
}

/// Reads a record, and calls `tell` with each event in it.
#[inline]
pub(super) fn read(
    row: Row<'_>,
    template: &Template,
    context: &mut Context<'_>,
    tell: &mut impl FnMut(NatEvent),
) -> Result<Read, BadRecord> {
    let clocks = &template.clocks;
    match template.meaning {
        Meaning::NatEvents => numbered::read(row, clocks, context, tell),
        Meaning::Connections => translated::connection(row, clocks, context, tell),
        Meaning::Flows => translated::flow(row, clocks, context, tell),
        Meaning::Translations => translated::bare(row, context, tell),
        Meaning::Nokia => translated::nokia(row, clocks, context, tell),
        Meaning::Life => {
            let Some(told) = row.bytes(Slot::Detail).and_then(life::life_of) else {
                return Ok(Read::Other);
            };
            let at = time(row, clocks.observed, context.sent)?;
            let event = event(at, context.sent, told);
            tell(event);
            Ok(Read::Events(1))
        }
        Meaning::SystemInit | Meaning::Nothing => Ok(Read::Other),
    }
}

fn time(row: Row<'_>, clock: Clock, sent: Sent) -> Result<Option<Timestamp>, BadRecord> {
    clock::read(row, clock, sent).map_err(|Absurd| BadRecord::AbsurdTime)
}

/// An event with its own time, or else with the time in the header of its message.
fn event(at: Option<Timestamp>, sent: Sent, told: Told) -> NatEvent {
    let at = at.map_or(EventTime::Message(sent.at), EventTime::Told);
    NatEvent { at, told }
}

/// When it happened: as observed, else when what it tells of began or ended.
fn happened(
    row: Row<'_>,
    clocks: &Clocks,
    ends: bool,
    sent: Sent,
) -> Result<Option<Timestamp>, BadRecord> {
    match time(row, clocks.observed, sent)? {
        Some(at) => Ok(Some(at)),
        None if ends => time(row, clocks.end, sent),
        None => time(row, clocks.start, sent),
    }
}

/// Who is inside, where the record says.
fn inside(row: Row<'_>, realms: &mut Realms) -> Result<Option<Subscriber>, BadRecord> {
    let Some(internal) = source(row) else {
        return Ok(None);
    };
    Ok(Some(Subscriber::of(realms.of(row)?, internal)))
}

/// By what the source is known. Beside an IPv4 address an IPv6 address is the B4's: in DS-Lite the
/// softwire is the subscriber, and all of them may have the same addresses inside (RFC 6333 §6.6).
fn source(row: Row<'_>) -> Option<Internal> {
    match (row.v4(Slot::SourceV4), row.v6(Slot::SourceV6)) {
        (Some(_), Some(b4)) => Some(Internal::Softwire(prefix(row, b4))),
        (Some(address), None) => Some(Internal::Address(address)),
        (None, Some(b4)) if row.bytes(Slot::Detail).is_some_and(life::is_softwire) => {
            Some(Internal::Softwire(prefix(row, b4)))
        }
        (None, Some(address)) => Some(Internal::Prefix(prefix(row, address))),
        (None, None) => None,
    }
}

/// The prefix that begins with `address`. Of a host's address a length is that of its route, and
/// says nothing of the subscriber.
fn prefix(row: Row<'_>, address: Ipv6Addr) -> Ipv6Prefix {
    let length = row.unsigned(Slot::SourceV6Length);
    let length = length.and_then(|length| u8::try_from(length).ok());
    let prefix = length.map(|length| Ipv6Prefix::new(address, length));
    prefix
        .and_then(Result::ok)
        .unwrap_or_else(|| address.into())
}

/// The transport of a record: `Ok(None)` is every transport, `Err` one without ports of its own.
fn transport(row: Row<'_>) -> Result<Option<Transport>, NoPorts> {
    match row.unsigned(Slot::Protocol) {
        None | Some(0) => Ok(None),
        // ICMPv6, inside of a NAT64: outside it is ICMP.
        Some(58) => Ok(Some(Transport::Icmp)),
        Some(number) => u8::try_from(number)
            .ok()
            .and_then(Transport::from_protocol_number)
            .map(Some)
            .ok_or(NoPorts),
    }
}

/// A transport whose ports are not shared out: GRE, ESP.
struct NoPorts;

/// The ports of a block, each range by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ports {
    first: u16,
    step: u16,
    count: u32,
}

impl Ports {
    /// The ports that the range elements tell (361 to 364), where there is a beginning. A zero in
    /// the others means that they are not told.
    fn of(row: Row<'_>) -> Result<Option<Self>, BadRecord> {
        let Some(first) = row.unsigned(Slot::RangeStart) else {
            return Ok(None);
        };
        let told = |slot| row.unsigned(slot).filter(|value| *value != 0);
        let step = told(Slot::RangeStep).unwrap_or(1);
        let (last, count) = match (told(Slot::RangeEnd), told(Slot::RangeCount)) {
            // Some makers tell no end (Cisco).
            (None, Some(count)) => (
                first.saturating_add((count - 1).saturating_mul(step)),
                count,
            ),
            (Some(last), told) if last >= first => {
                // Nearly always neighbours, and a division takes longer than all the rest here.
                let count = if step == 1 {
                    last - first + 1
                } else {
                    (last - first) / step + 1
                };
                if told.is_some_and(|told| told != count) {
                    return Err(BadRecord::PortRangeDisagrees);
                }
                (last, count)
            }
            _ => return Err(BadRecord::PortRange),
        };
        let (Ok(first), Ok(_)) = (u16::try_from(first), u16::try_from(last)) else {
            return Err(BadRecord::PortRange);
        };
        let (Ok(step), Ok(count)) = (u16::try_from(step), u32::try_from(count)) else {
            return Err(BadRecord::PortRange);
        };
        if step > 1 && count > MAX_SINGLE_PORTS {
            return Err(BadRecord::TooManyRanges(count));
        }
        Ok(Some(Self { first, step, count }))
    }

    /// The one range, where the ports are neighbours.
    fn neighbours(self) -> Option<PortRange> {
        if self.step > 1 && self.count > 1 {
            return None;
        }
        let last = u32::from(self.first) + self.count - 1;
        PortRange::new(self.first, u16::try_from(last).ok()?).ok()
    }

    fn singles(self) -> impl Iterator<Item = PortRange> {
        (self.first..=u16::MAX)
            .step_by(usize::from(self.step.max(1)))
            .take(self.count as usize)
            .map(PortRange::single)
    }
}

/// The other end of a session as seen from outside, where told.
fn destination(row: Row<'_>) -> Option<std::net::SocketAddr> {
    let address = row
        .address(Slot::PostDestinationV4, Slot::PostDestinationV6)
        .or_else(|| row.address(Slot::DestinationV4, Slot::DestinationV6))?;
    let port = row
        .port(Slot::PostDestinationPort)
        .filter(|port| *port != 0)
        .or_else(|| row.port(Slot::DestinationPort))?;
    Some((address, port).into())
}

/// Whether a subscriber is one of a NAT64. An AFTR's are of a NAT44, whatever they come through.
fn is_of_nat64(subscriber: Option<&Subscriber>) -> bool {
    subscriber.is_some_and(|subscriber| matches!(subscriber.internal(), Internal::Prefix(_)))
}
