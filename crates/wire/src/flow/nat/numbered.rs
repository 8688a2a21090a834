//! Events by number: RFC 8158's, the historic two, Cisco's and Juniper's use of them.

use std::net::Ipv4Addr;

use portledger_model::{Level, Limit, PortRange, Timestamp};

use super::{
    Context, NoPorts, Ports, Read, destination, event, happened, inside, is_of_nat64, time,
    transport,
};
use crate::{
    Holding, Kind, NatEvent, Phase, Told,
    flow::{
        clock::Clocks,
        item::BadRecord,
        life,
        slots::{Row, Slot},
    },
};

/// Reads a record that has a natEvent (230).
///
/// | number | RFC 8158 §4.1 | Juniper's draft | told apart by |
/// |---|---|---|---|
/// | 1, 2 | session (historic) | session | destination or range there or not |
/// | 3 | addresses exhausted | the same | |
/// | 4, 5 | NAT44 session | NAT64 session | family of the inside |
/// | 6, 7 | NAT64 session | NAT44 BIB | family of the inside |
/// | 8, 9 | NAT44 BIB | NAT64 BIB | both are mappings |
/// | 10, 11 | NAT64 BIB | ports exhausted, quota | an external port there or not |
/// | 12, 13 | ports exhausted, quota | binding | inside and outside both there |
/// | 14, 15 | binding | block | a port range there or not |
/// | 16 | block allocated | block still held | 14 or 15 for blocks seen before |
/// | 17 | block released | | |
/// | 18 | threshold | | |
#[inline]
pub(super) fn read(
    row: Row<'_>,
    clocks: &Clocks,
    context: &mut Context<'_>,
    tell: &mut impl FnMut(NatEvent),
) -> Result<Read, BadRecord> {
    let number = row.unsigned(Slot::NatEvent).unwrap_or(0);
    let has_ports = row.places.has(Slot::RangeStart) || row.places.has(Slot::PostSourcePort);
    let has_inside = row.places.has(Slot::SourceV4) || row.places.has(Slot::SourceV6);
    let has_outside = row.places.has(Slot::PostSourceV4) || row.places.has(Slot::PostSourceV6);
    match number {
        3 => pool_exhausted(row, clocks, context, tell),
        10 | 12 if !(has_ports || has_inside && has_outside) => {
            pool_exhausted(row, clocks, context, tell)
        }
        11 | 13 if row.places.has(Slot::Quota) || !has_outside => {
            limit_reached(row, clocks, context, tell)
        }
        18 => threshold(row, clocks, context, tell),
        1 | 2 | 12..=15 if !has_ports => address(row, number, clocks, context, tell),
        1 | 2 | 4..=11 | 14..=17 => holding(row, number, clocks, context, tell),
        other => Err(BadRecord::UnknownEvent(other)),
    }
}

/// In both numberings what is created is even and what is deleted odd, but for the historic two.
const fn ends(number: u64) -> bool {
    number == 2 || (number > 2 && number % 2 == 1)
}

/// The outside; `None` where it is not IPv4: then no ports are shared.
fn outside(row: Row<'_>) -> Result<Option<Ipv4Addr>, BadRecord> {
    match row.v4(Slot::PostSourceV4) {
        Some(external) => Ok(Some(external)),
        None if row.v6(Slot::PostSourceV6).is_some() => Ok(None),
        None => Err(BadRecord::NoExternalAddress),
    }
}

#[inline]
fn holding(
    row: Row<'_>,
    number: u64,
    clocks: &Clocks,
    context: &mut Context<'_>,
    tell: &mut impl FnMut(NatEvent),
) -> Result<Read, BadRecord> {
    let Some(external) = outside(row)? else {
        return Ok(Read::Other);
    };
    let Ok(transport) = transport(row) else {
        return Ok(Read::Other);
    };
    let subscriber = inside(row, context.realms)?;
    let range = Ports::of(row)?;
    let is_block = range.is_some() && matches!(number, 1 | 2 | 14..=17);
    if is_block && matches!(number, 14 | 15) {
        *context.draft_numbers = true;
    }
    let kind = if is_block {
        Kind::Block
    } else {
        let internal_port = row.port(Slot::SourcePort);
        let destination = destination(row);
        // Draft: 6 and 7 with an IPv4 inside are a NAT44 BIB, unless they name a destination.
        let is_session = match number {
            4 | 5 => true,
            6 | 7 => is_of_nat64(subscriber.as_ref()) || destination.is_some(),
            1 | 2 | 14 | 15 => destination.is_some(),
            _ => false,
        };
        if is_session {
            Kind::Session {
                internal_port,
                destination,
            }
        } else {
            Kind::Mapping { internal_port }
        }
    };
    let sent = context.sent;
    let ends = ends(number);
    let at = happened(row, clocks, ends, sent)?;
    let since = time(row, clocks.start, sent)?;
    let phase = phase(row, clocks, ends, at, since)?;
    let is_active = is_block && number == 16 && *context.draft_numbers;
    let phase = if is_active { Phase::Held } else { phase };
    let mut holding = Holding {
        phase,
        kind,
        subscriber,
        external,
        ports: PortRange::single(0),
        transport,
        since: since.filter(|_| phase != Phase::Begun),
    };
    let Some(ports) = range else {
        let port = row.port(Slot::PostSourcePort);
        holding.ports = PortRange::single(port.ok_or(BadRecord::NoExternalPort)?);
        tell(event(at, sent, Told::Ports(holding)));
        return Ok(Read::Events(1));
    };
    if let Some(neighbours) = ports.neighbours() {
        holding.ports = neighbours;
        tell(event(at, sent, Told::Ports(holding)));
        return Ok(Read::Events(1));
    }
    for single in ports.singles() {
        let holding = Holding {
            ports: single,
            ..holding.clone()
        };
        tell(event(at, sent, Told::Ports(holding)));
    }
    Ok(Read::Events(ports.count))
}

/// RFC 8158 has no event for "still held". A creation that says by flowStart that it began before
/// it was observed is one: it is how our own exporter tells it, with 0 where it does not know.
fn phase(
    row: Row<'_>,
    clocks: &Clocks,
    ends: bool,
    at: Option<Timestamp>,
    since: Option<Timestamp>,
) -> Result<Phase, BadRecord> {
    if ends {
        return Ok(Phase::Ended);
    }
    let is_unknown = since.is_none()
        && clocks
            .start
            .is_some_and(|(slot, _)| row.unsigned(slot) == Some(0));
    let is_earlier = since.zip(at).is_some_and(|(since, at)| since < at);
    Ok(if is_unknown || is_earlier {
        Phase::Held
    } else {
        Phase::Begun
    })
}

fn address(
    row: Row<'_>,
    number: u64,
    clocks: &Clocks,
    context: &mut Context<'_>,
    tell: &mut impl FnMut(NatEvent),
) -> Result<Read, BadRecord> {
    let Some(external) = outside(row)? else {
        return Ok(Read::Other);
    };
    let subscriber = inside(row, context.realms)?.ok_or(BadRecord::NoInternalAddress)?;
    let at = happened(row, clocks, ends(number), context.sent)?;
    let since = time(row, clocks.start, context.sent)?;
    let phase = phase(row, clocks, ends(number), at, since)?;
    tell(event(
        at,
        context.sent,
        Told::Address {
            phase,
            subscriber,
            external,
        },
    ));
    Ok(Read::Events(1))
}

fn pool(row: Row<'_>) -> Option<u32> {
    row.unsigned(Slot::PoolId)
        .and_then(|pool| pool.try_into().ok())
}

fn detail_number(row: Row<'_>, name: &str) -> Option<u32> {
    life::pool_number(row.bytes(Slot::Detail)?, name)
}

fn pool_exhausted(
    row: Row<'_>,
    clocks: &Clocks,
    context: &mut Context<'_>,
    tell: &mut impl FnMut(NatEvent),
) -> Result<Read, BadRecord> {
    let told = Told::PoolExhausted {
        pool: pool(row),
        blocks: detail_number(row, "blocks"),
        resting: detail_number(row, "resting"),
    };
    let at = time(row, clocks.observed, context.sent)?;
    tell(event(at, context.sent, told));
    Ok(Read::Events(1))
}

/// natThresholdEvent (RFC 8158 §4.3): 2 is the pool's low-water mark; 1 and the other ones are
/// high-water marks, of which only the pool's is an event here.
fn threshold(
    row: Row<'_>,
    clocks: &Clocks,
    context: &mut Context<'_>,
    tell: &mut impl FnMut(NatEvent),
) -> Result<Read, BadRecord> {
    let level = match in_either_order(row, Slot::Threshold)? {
        1 => Level::High,
        2 => Level::Low,
        _ => return Ok(Read::Other),
    };
    let told = Told::PoolThreshold {
        level,
        pool: pool(row),
        in_use: detail_number(row, "in_use"),
        blocks: detail_number(row, "blocks"),
    };
    let at = time(row, clocks.observed, context.sent)?;
    tell(event(at, context.sent, told));
    Ok(Read::Events(1))
}

/// natQuotaExceededEvent (RFC 8158 §4.2): 3 is one subscriber's, the others are the device's.
fn limit_reached(
    row: Row<'_>,
    clocks: &Clocks,
    context: &mut Context<'_>,
    tell: &mut impl FnMut(NatEvent),
) -> Result<Read, BadRecord> {
    if row.places.has(Slot::Quota) {
        in_either_order(row, Slot::Quota)?;
    }
    let exactly = row.bytes(Slot::Detail).and_then(life::limit_of);
    let limit = match (exactly, transport(row)) {
        (Some(limit), _) => limit,
        (None, Ok(Some(transport))) => Limit::Ports(transport),
        (None, Ok(None) | Err(NoPorts)) => Limit::State,
    };
    let told = Told::LimitReached {
        subscriber: inside(row, context.realms)?,
        limit,
    };
    let at = time(row, clocks.observed, context.sent)?;
    tell(event(at, context.sent, told));
    Ok(Read::Events(1))
}

/// A number from 1 to 5. Older releases of VPP sent it in their host's byte order: then it is
/// absurd one way and small the other.
fn in_either_order(row: Row<'_>, slot: Slot) -> Result<u64, BadRecord> {
    let number = row.unsigned(slot).unwrap_or(0);
    let swapped = u32::try_from(number).map_or(0, |number| u64::from(number.swap_bytes()));
    [number, swapped]
        .into_iter()
        .find(|number| (1..=5).contains(number))
        .ok_or(BadRecord::UnknownLimit(number))
}
