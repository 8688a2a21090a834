//! Records without a natEvent that tell of translations all the same.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use portledger_model::{Internal, PortRange, Subscriber, Timestamp};

use super::{Context, Ports, Read, event, inside, time, transport};
use crate::{
    Holding, Kind, NatEvent, Phase, Told,
    flow::{
        clock::Clocks,
        item::BadRecord,
        slots::{Row, Slot},
    },
};

/// A connection by firewallEvent (233): Cisco ASA, Palo Alto. 1 is created, 2 deleted, 5 still
/// there; denied and alert are no translations.
pub(super) fn connection(
    row: Row<'_>,
    clocks: &Clocks,
    context: &mut Context<'_>,
    tell: &mut impl FnMut(NatEvent),
) -> Result<Read, BadRecord> {
    let phase = match row.unsigned(Slot::FirewallEvent) {
        Some(1) => Phase::Begun,
        Some(2) => Phase::Ended,
        Some(5) => Phase::Held,
        _ => return Ok(Read::Other),
    };
    let since = time(row, clocks.start, context.sent)?;
    let at = match time(row, clocks.observed, context.sent)? {
        Some(at) => Some(at),
        None if phase == Phase::Begun => since,
        None => time(row, clocks.end, context.sent)?,
    };
    // Only the ASA has a time of the event; it tells a connection once, whoever opened it.
    let ways = if clocks.observed.is_some() {
        Ways::Both
    } else {
        Ways::Out
    };
    session(row, (phase, ways), at, since, context, tell)
}

/// A flow that was translated (MikroTik, Fortinet): one record when it is over, or while it goes
/// on (flowEndReason 2, active timeout, RFC 5102 §5.11.3).
///
/// It becomes one event that ends, or is held, at the flow's end and says since when: that is all
/// the record knows. The NAT keeps a mapping somewhat longer than its flow lasts; that time is not
/// claimed.
pub(super) fn flow(
    row: Row<'_>,
    clocks: &Clocks,
    context: &mut Context<'_>,
    tell: &mut impl FnMut(NatEvent),
) -> Result<Read, BadRecord> {
    let goes_on = row.unsigned(Slot::EndReason) == Some(2);
    let phase = if goes_on { Phase::Held } else { Phase::Ended };
    let since = time(row, clocks.start, context.sent)?;
    let at = time(row, clocks.end, context.sent)?;
    let ways = if row.places.has(Slot::PostSourcePort) {
        Ways::Out
    } else {
        Ways::Both
    };
    session(row, (phase, ways), at, since, context, tell)
}

/// Which packets' translations are read.
///
/// A packet's source is translated on the way out. On the way in its destination is, and makers
/// disagree there: of an answer, the ASA and RouterOS 6 give the external address as destination
/// and the internal one as postNATDestination, FortiOS the other way round. Who tells the external
/// port of what goes out tells both directions, so that the way out is enough; only where nothing
/// else is told, by makers whose way is known, the way in is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ways {
    Out,
    Both,
}

fn session(
    row: Row<'_>,
    (phase, ways): (Phase, Ways),
    at: Option<Timestamp>,
    since: Option<Timestamp>,
    context: &mut Context<'_>,
    tell: &mut impl FnMut(NatEvent),
) -> Result<Read, BadRecord> {
    let (Some(sides), Ok(transport)) = (Sides::of(row, ways), transport(row)) else {
        return Ok(Read::Other);
    };
    let subscriber = Subscriber::of(context.realms.of(row)?, sides.internal);
    let holding = Holding {
        phase,
        kind: Kind::Session {
            internal_port: sides.internal_port,
            destination: sides.destination,
        },
        subscriber: Some(subscriber),
        external: sides.external,
        ports: PortRange::single(sides.external_port),
        transport,
        since: since.filter(|_| phase != Phase::Begun),
    };
    tell(event(at, context.sent, Told::Ports(holding)));
    Ok(Read::Events(1))
}

/// Who is on which side of a translation.
struct Sides {
    internal: Internal,
    internal_port: Option<u16>,
    external: Ipv4Addr,
    external_port: u16,
    destination: Option<SocketAddr>,
}

impl Sides {
    /// `None` where nothing was translated, or where the record does not tell the external port:
    /// RouterOS 6 tells it only of what comes in.
    fn of(row: Row<'_>, ways: Ways) -> Option<Self> {
        let told = |slot| row.port(slot).filter(|port| *port != 0);
        let source = row.address(Slot::SourceV4, Slot::SourceV6)?;
        let target = row.address(Slot::DestinationV4, Slot::DestinationV6);
        let (source_port, target_port) =
            (row.port(Slot::SourcePort), row.port(Slot::DestinationPort));
        let (new_source_port, new_target_port) =
            (told(Slot::PostSourcePort), told(Slot::PostDestinationPort));
        if let Some(external) = row.v4(Slot::PostSourceV4)
            && (source != IpAddr::V4(external)
                || new_source_port.is_some_and(|port| Some(port) != source_port))
        {
            let post_target = row.address(Slot::PostDestinationV4, Slot::PostDestinationV6);
            return Some(Self {
                // Out of a softwire it is not the source that tells who it was.
                internal: super::source(row)?,
                internal_port: source_port,
                external,
                external_port: new_source_port?,
                destination: post_target
                    .or(target)
                    .zip(new_target_port.or(target_port))
                    .map(Into::into),
            });
        }
        if ways == Ways::Out {
            return None;
        }
        let internal = row.address(Slot::PostDestinationV4, Slot::PostDestinationV6)?;
        let IpAddr::V4(external) = target? else {
            return None;
        };
        let is_translated = internal != IpAddr::V4(external)
            || new_target_port.is_some_and(|port| Some(port) != target_port);
        is_translated.then_some(Self {
            internal: internal.into(),
            internal_port: new_target_port,
            external,
            external_port: target_port?,
            destination: source_port.map(|port| (source, port).into()),
        })
    }
}

/// Cisco IOS XR's records have neither event nor time: each tells that a translation, or a block,
/// began. The records by which it ends name no external address and are not told from others.
pub(super) fn bare(
    row: Row<'_>,
    context: &mut Context<'_>,
    tell: &mut impl FnMut(NatEvent),
) -> Result<Read, BadRecord> {
    let Ok(transport) = transport(row) else {
        return Ok(Read::Other);
    };
    let external = row
        .v4(Slot::PostSourceV4)
        .ok_or(BadRecord::NoExternalAddress)?;
    let (kind, ports) = match Ports::of(row)? {
        Some(ports) => {
            let range = ports.neighbours();
            (
                Kind::Block,
                range.ok_or(BadRecord::TooManyRanges(ports.count))?,
            )
        }
        None => {
            let port = row.port(Slot::PostSourcePort);
            let internal_port = row.port(Slot::SourcePort);
            (
                Kind::Mapping { internal_port },
                PortRange::single(port.ok_or(BadRecord::NoExternalPort)?),
            )
        }
    };
    let holding = Holding {
        phase: Phase::Begun,
        kind,
        subscriber: inside(row, context.realms)?,
        external,
        ports,
        transport,
        since: None,
    };
    tell(event(None, context.sent, Told::Ports(holding)));
    Ok(Read::Events(1))
}

/// Nokia SR OS: the source is the outside, the inside stands in a string after an `@`, and a
/// record with a start is a creation, one with an end a deletion.
pub(super) fn nokia(
    row: Row<'_>,
    clocks: &Clocks,
    context: &mut Context<'_>,
    tell: &mut impl FnMut(NatEvent),
) -> Result<Read, BadRecord> {
    let Ok(transport) = transport(row) else {
        return Ok(Read::Other);
    };
    let external = row.v4(Slot::SourceV4).ok_or(BadRecord::NoExternalAddress)?;
    let port = row
        .port(Slot::SourcePort)
        .ok_or(BadRecord::NoExternalPort)?;
    let text = row.bytes(Slot::NokiaSubscriber).unwrap_or_default();
    let subscriber = match nokia_address(text) {
        Some(internal) => Some(Subscriber::new(context.realms.of(row)?, internal)),
        None => None,
    };
    let destination = row
        .address(Slot::DestinationV4, Slot::DestinationV6)
        .zip(row.port(Slot::DestinationPort));
    let end = time(row, clocks.end, context.sent)?;
    let start = time(row, clocks.start, context.sent)?;
    let (phase, at) = match end {
        Some(end) => (Phase::Ended, Some(end)),
        None if clocks.end.is_some() => (Phase::Ended, None),
        None => (Phase::Begun, start),
    };
    let holding = Holding {
        phase,
        kind: Kind::Session {
            internal_port: None,
            destination: destination.map(Into::into),
        },
        subscriber,
        external,
        ports: PortRange::single(port),
        transport,
        since: start.filter(|_| phase == Phase::Ended),
    };
    tell(event(at, context.sent, Told::Ports(holding)));
    Ok(Read::Events(1))
}

/// `LSN-Host@10.0.0.1`, or an address alone; a name without one (L2-aware NAT) says nobody.
fn nokia_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_end_matches('\0');
    let address = text.rsplit_once('@').map_or(text, |(_, address)| address);
    address.trim().parse().ok()
}
