//! From what was found in a line to an event, by rules that hold for every dialect.

use std::{net::IpAddr, net::SocketAddr, time::Duration};

use portledger_model::{Internal, Limit, PortRange, Subscriber, Timestamp, Transport};

use super::{
    Reason,
    fields::{Field, Found, FoundTransport},
    reader::Context,
};
use crate::event::{EventTime, Holding, Kind, NatEvent, Phase, Told};

/// What a message of a dialect tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tells {
    Block,
    Mapping,
    Session,
    Address,
    Exhausted,
    Limit(LimitKind),
}

/// Which limit a message tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitKind {
    Blocks,
    Ports,
    Rate,
    State,
}

/// What comes of one record.
#[derive(Debug)]
pub(crate) enum Verdict {
    Event(NatEvent),
    Nothing(&'static str),
}

/// A stamp this near to the message's time is of the event itself.
const STAMP_IS_NOW: Duration = Duration::from_secs(5);

const NOT_TRANSLATED: &str = "not translated: the address and port are the same on both sides";
const NO_PORTS: &str = "of a transport whose ports are not shared out";

/// An event of what was found.
pub(crate) fn event(
    tells: Tells,
    phase: Phase,
    found: &Found<'_>,
    context: &mut Context<'_, '_>,
) -> Result<Verdict, Reason> {
    if found.transport == Some(FoundTransport::Other) {
        return Ok(Verdict::Nothing(NO_PORTS));
    }
    if is_untranslated(tells, found) {
        return Ok(Verdict::Nothing(NOT_TRANSLATED));
    }
    let subscriber = subscriber(found, context)?;
    let (at, since) = times(phase, found, context)?;
    let told = match tells {
        Tells::Exhausted => Told::PoolExhausted {
            pool: found.pool,
            blocks: None,
            resting: None,
        },
        Tells::Limit(kind) => Told::LimitReached {
            subscriber,
            limit: limit(kind, found)?,
        },
        Tells::Address => Told::Address {
            phase,
            subscriber: subscriber.ok_or(Reason::Missing(Field::Internal.name()))?,
            external: external(found)?,
        },
        Tells::Block | Tells::Mapping | Tells::Session => Told::Ports(Holding {
            phase,
            kind: kind(tells, found),
            subscriber: match (subscriber, phase) {
                // Only a release may leave open whose it was.
                (None, Phase::Begun | Phase::Held) => {
                    return Err(Reason::Missing(Field::Internal.name()));
                }
                (subscriber, _) => subscriber,
            },
            external: external(found)?,
            ports: ports(tells, found)?,
            transport: one_transport(found),
            since,
        }),
    };
    Ok(Verdict::Event(NatEvent { at, told }))
}

/// Connection tables list what passes untouched beside what is translated.
fn is_untranslated(tells: Tells, found: &Found<'_>) -> bool {
    matches!(tells, Tells::Mapping | Tells::Session)
        && found.internal.is_some()
        && found.internal == found.external
        && (found.port.is_none()
            || found.internal_port.is_none()
            || found.port == found.internal_port)
}

fn subscriber(
    found: &Found<'_>,
    context: &mut Context<'_, '_>,
) -> Result<Option<Subscriber>, Reason> {
    let internal = match (found.tunnel, found.internal) {
        // In DS-Lite the softwire is the subscriber: all of them may have the same address inside
        // it (RFC 6333 §6.6).
        (Some(IpAddr::V6(b4)), _) => Internal::Softwire(b4.into()),
        (tunnel, internal) => match tunnel.or(internal) {
            Some(address) => address.into(),
            None => return Ok(None),
        },
    };
    let realm = context.realm(found.realm.unwrap_or_default())?;
    Ok(Some(Subscriber::of(realm, internal)))
}

fn external(found: &Found<'_>) -> Result<std::net::Ipv4Addr, Reason> {
    match found
        .external
        .ok_or(Reason::Missing(Field::External.name()))?
    {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(Reason::ExternalIsIpv6),
    }
}

fn one_transport(found: &Found<'_>) -> Option<Transport> {
    match found.transport {
        Some(FoundTransport::One(transport)) => Some(transport),
        Some(FoundTransport::Other) | None => None,
    }
}

fn limit(kind: LimitKind, found: &Found<'_>) -> Result<Limit, Reason> {
    Ok(match kind {
        LimitKind::Blocks => Limit::Blocks,
        LimitKind::Rate => Limit::Rate,
        LimitKind::State => Limit::State,
        LimitKind::Ports => {
            Limit::Ports(one_transport(found).ok_or(Reason::Missing(Field::Transport.name()))?)
        }
    })
}

fn kind(tells: Tells, found: &Found<'_>) -> Kind {
    // Devices write 0 where they do not tell it.
    let internal_port = found.internal_port.filter(|port| *port != 0);
    match tells {
        Tells::Session => Kind::Session {
            internal_port,
            destination: found
                .destination
                .zip(found.destination_port)
                .map(|(address, port)| SocketAddr::new(address, port)),
        },
        Tells::Mapping => Kind::Mapping { internal_port },
        _ => Kind::Block,
    }
}

/// The ports, by whichever of first, last, count and step a device tells (Cisco tells start, count
/// and step and no end).
fn ports(tells: Tells, found: &Found<'_>) -> Result<PortRange, Reason> {
    let first = found
        .first
        .or(found.port)
        .ok_or(Reason::Missing(Field::First.name()))?;
    let step = found.step.unwrap_or(1);
    if step > 1 && found.count != Some(1) && found.last != Some(first) {
        return Err(Reason::Scattered);
    }
    let counted = match found.count {
        Some(0) => return Err(Reason::NoPorts),
        Some(count) => Some(
            u16::try_from(u64::from(first) + u64::from(count) - 1)
                .map_err(|_| Reason::BeyondTheLastPort)?,
        ),
        None => None,
    };
    let last = match (found.last, counted) {
        (Some(last), Some(counted)) if last != counted => return Err(Reason::CountDisagrees),
        (Some(last), _) | (None, Some(last)) => last,
        (None, None) if tells == Tells::Block => {
            return Err(Reason::Missing(Field::Last.name()));
        }
        (None, None) => first,
    };
    PortRange::new(first, last).map_err(|_| Reason::EndsBeforeItBegins)
}

/// When it happened, and when what it is about began.
fn times(
    phase: Phase,
    found: &Found<'_>,
    context: &mut Context<'_, '_>,
) -> Result<(EventTime, Option<Timestamp>), Reason> {
    let mut since = found.since.map(|time| context.instant(time)).transpose()?;
    let told = found.time.map(|time| context.instant(time)).transpose()?;
    let stamp = found.stamp.map(|time| context.instant(time)).transpose()?;
    let lasted = found.duration.map(Duration::from_micros);
    let told = told.or_else(|| since.zip(lasted).map(|(since, lasted)| since.after(lasted)));
    let at = match (told, stamp) {
        (Some(at), _) if phase == Phase::Ended => ended_at(at, context),
        (Some(at), _) => EventTime::Told(at),
        (None, None) => match context.message_time() {
            Ok(at) => EventTime::Message(at),
            // Whoever holds something since a time held it at that time.
            Err(_) if phase == Phase::Held && since.is_some() => {
                EventTime::Told(since.unwrap_or_default())
            }
            Err(reason) => return Err(reason),
        },
        (None, Some(stamp)) => stamped(phase, stamp, &mut since, context)?,
    };
    // What ends told how long it lasted.
    if since.is_none() && phase != Phase::Begun {
        since = lasted.map(|lasted| at.timestamp().before(lasted));
    }
    Ok((at, since.filter(|_| phase != Phase::Begun)))
}

/// When something ended. Some releases of Juniper's software repeat the time of the beginning here:
/// then the message's time says when it had ended at the latest.
fn ended_at(told: Timestamp, context: &mut Context<'_, '_>) -> EventTime {
    match context.message_time() {
        Ok(sent) if sent.since(told) > STAMP_IS_NOW => EventTime::Late { told, sent },
        _ => EventTime::Told(told),
    }
}

/// Juniper's hexadecimal stamp is the time of an allocation; in what follows on one it is, by
/// device and release, the time of the event or again that of the allocation. The message's own
/// time says which: a stamp that is much older is of the beginning.
fn stamped(
    phase: Phase,
    stamp: Timestamp,
    since: &mut Option<Timestamp>,
    context: &mut Context<'_, '_>,
) -> Result<EventTime, Reason> {
    match (phase, context.message_time()) {
        (Phase::Begun, _) => Ok(EventTime::Told(stamp)),
        (_, Ok(message)) if message.since(stamp) > STAMP_IS_NOW => {
            *since = since.or(Some(stamp));
            Ok(EventTime::Message(message))
        }
        (_, Ok(_)) => Ok(EventTime::Told(stamp)),
        (Phase::Held, Err(_)) => {
            *since = since.or(Some(stamp));
            Ok(EventTime::Told(stamp))
        }
        (Phase::Ended, Err(reason)) => Err(reason),
    }
}
