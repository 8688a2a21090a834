//! The bytes of one record, the same in both versions of the format.
//!
//! ```text
//! name        0  the name's bytes                 defines the next number: from 0 in each chunk,
//!                                                 in version 1 in each file
//! mark        1  offset (u64)                     all before the offset was durable by now
//! event   2..15  at (i64 µs)  device (name number, varint)  what the kind adds
//! block          flags  realm (varint)  internal  external (4)  first, last port (u16)
//! internal       an IPv4 address (4), or by the flags an IPv6 address (16), or an IPv6 prefix:
//!                its length in bits (u8), and the bytes that these fill, or begin to fill
//! rule           its fields as in a record's text: a JSON object, to the end
//! since          at - since in µs, zigzag varint  a block's age is shorter than its date
//! ```

mod numbers;

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use portledger_model::{
    Block, Device, Durability, Event, Internal, Ipv6Prefix, Level, Limit, PortRange, Realm, Record,
    Rule, RuleName, Start, Subscriber, Timestamp, Transport,
};

use self::numbers::{Input, write_varint, zigzag};
use super::{chunk::write_entry, names::Names};
use crate::record::rules;

const NAME: u8 = 0;
const MARK: u8 = 1;
const STARTED: u8 = 2;
const STOPPED: u8 = 3;
const HEARTBEAT: u8 = 4;
const ALLOCATED: u8 = 5;
const HELD: u8 = 6;
const RELEASED: u8 = 7;
const LIMIT_REACHED: u8 = 8;
const POOL_EXHAUSTED: u8 = 9;
const POOL_THRESHOLD: u8 = 10;
const LOST: u8 = 11;
const JOINED: u8 = 12;
const RULE_BEGAN: u8 = 13;
const RULE_HELD: u8 = 14;
const RULE_ENDED: u8 = 15;

/// Of a block's flags: the transport is in the two lowest bits, these say what the subscriber is
/// known by where it is no IPv4 address. An IPv6 address is never written as a prefix.
const IPV6: u8 = 4;
const PREFIX: u8 = 8;
/// Always with [`PREFIX`], which may be of all 128 bits then.
const SOFTWIRE: u8 = 16;
/// Of a start's flags.
const CONTINUES: u8 = 1;
const BOUNDED_LOSS: u8 = 2;
const HEARTBEATS: u8 = 4;

/// Bytes of a usual record: reserved at once.
const USUAL: usize = 64;

/// Bytes of a mark's payload.
pub(crate) const MARK_PAYLOAD: usize = 9;

/// What a frame holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// A name was defined.
    Name,
    /// Everything before this offset in the file was durable when the mark was written.
    Mark(u64),
    /// An event.
    Record(Record),
}

/// Appends a mark.
pub(crate) fn write_mark(durable: u64, out: &mut Vec<u8>) {
    out.push(MARK);
    out.extend_from_slice(&durable.to_le_bytes());
}

/// Appends a record as an entry of a chunk, with the entries of the names it is the first to use.
pub(crate) fn write_record(record: &Record, names: &mut Names, out: &mut Vec<u8>) {
    let device = device_number(&record.device, names, out);
    let realm = subscriber_of(&record.event)
        .map_or(0, |subscriber| realm_number(subscriber.realm(), names, out));
    out.reserve(USUAL);
    write_entry(out, |out| {
        out.push(kind(&record.event));
        out.extend_from_slice(&record.at.as_micros().to_le_bytes());
        write_varint(device.into(), out);
        write_event(&record.event, record.at, realm, out);
    });
}

/// What a mark says; `None` where the payload is none.
pub(crate) fn read_mark(payload: &[u8]) -> Option<u64> {
    let (kind, offset) = payload.split_first()?;
    (*kind == MARK).then(|| offset.try_into().ok().map(u64::from_le_bytes))?
}

/// Reads a payload. A name it defines goes into `names`.
pub(crate) fn read(payload: &[u8], names: &mut Names) -> Result<Payload, &'static str> {
    let mut input = Input(payload);
    let kind = input.byte()?;
    let content = match kind {
        NAME => {
            let name = str::from_utf8(input.rest()).map_err(|_| "a name that is not text")?;
            if !names.define(name) {
                return Err("a name that is none, or is defined twice");
            }
            Payload::Name
        }
        MARK => Payload::Mark(u64::from_le_bytes(input.array()?)),
        _ => {
            let at = Timestamp::from_micros(i64::from_le_bytes(input.array()?));
            let device = names
                .device(input.varint32()?)
                .ok_or("an undefined device")?;
            Payload::Record(Record {
                at,
                device: device.clone(),
                event: read_event(kind, at, &mut input, names)?,
            })
        }
    };
    if input.0.is_empty() {
        Ok(content)
    } else {
        Err("bytes after its end")
    }
}

fn device_number(device: &Device, names: &mut Names, out: &mut Vec<u8>) -> u32 {
    if let Some(number) = names.last_device.get(device) {
        return *number;
    }
    let number = name(device.as_str(), names, out);
    names.last_device.put(device, number);
    number
}

fn realm_number(realm: &Realm, names: &mut Names, out: &mut Vec<u8>) -> u32 {
    if let Some(number) = names.last_realm.get(realm) {
        return *number;
    }
    let number = name(realm.as_str(), names, out);
    names.last_realm.put(realm, number);
    number
}

fn name(name: &str, names: &mut Names, out: &mut Vec<u8>) -> u32 {
    if let Some(number) = names.number(name) {
        return number;
    }
    write_entry(out, |out| {
        out.push(NAME);
        out.extend_from_slice(name.as_bytes());
    });
    names.define(name);
    names.number(name).unwrap_or(0)
}

fn subscriber_of(event: &Event) -> Option<&Subscriber> {
    match event {
        Event::Allocated(block) | Event::Held { block, .. } | Event::Released { block, .. } => {
            Some(&block.subscriber)
        }
        Event::LimitReached { subscriber, .. } => Some(subscriber),
        _ => None,
    }
}

fn kind(event: &Event) -> u8 {
    match event {
        Event::Started(_) => STARTED,
        Event::Stopped => STOPPED,
        Event::Heartbeat => HEARTBEAT,
        Event::Lost { .. } => LOST,
        Event::Joined { .. } => JOINED,
        Event::Allocated(_) => ALLOCATED,
        Event::Held { .. } => HELD,
        Event::Released { .. } => RELEASED,
        Event::LimitReached { .. } => LIMIT_REACHED,
        Event::PoolExhausted { .. } => POOL_EXHAUSTED,
        Event::PoolThreshold { .. } => POOL_THRESHOLD,
        Event::RuleBegan(_) => RULE_BEGAN,
        Event::RuleHeld { .. } => RULE_HELD,
        Event::RuleEnded(_) => RULE_ENDED,
    }
}

fn write_event(event: &Event, at: Timestamp, realm: u32, out: &mut Vec<u8>) {
    match event {
        Event::Started(start) => write_start(start, out),
        Event::Joined { clock_error } => write_duration(*clock_error, out),
        Event::Stopped | Event::Heartbeat => {}
        Event::Lost { since, events } => {
            write_varint(zigzag(at.as_micros().wrapping_sub(since.as_micros())), out);
            if let Some(events) = events {
                write_varint(*events, out);
            }
        }
        Event::Allocated(block) => write_block(block, realm, out),
        Event::Held { block, since } | Event::Released { block, since } => {
            write_block(block, realm, out);
            write_varint(zigzag(at.as_micros().wrapping_sub(since.as_micros())), out);
        }
        Event::LimitReached { subscriber, limit } => {
            let internal = subscriber.internal();
            out.push(internal_flags(internal));
            write_varint(realm.into(), out);
            write_internal(internal, out);
            out.push(match limit {
                Limit::Blocks => 0,
                Limit::Rate => 1,
                Limit::State => 2,
                Limit::Ports(Transport::Tcp) => 3,
                Limit::Ports(Transport::Udp) => 4,
                Limit::Ports(Transport::Icmp) => 5,
            });
        }
        Event::PoolExhausted { blocks, resting } => {
            write_varint((*blocks).into(), out);
            write_varint((*resting).into(), out);
        }
        Event::PoolThreshold {
            level,
            in_use,
            blocks,
        } => {
            out.push(match level {
                Level::High => 0,
                Level::Low => 1,
            });
            write_varint((*in_use).into(), out);
            write_varint((*blocks).into(), out);
        }
        Event::RuleBegan(rule) => rules::write_object(rule, out),
        Event::RuleHeld { rule, since } => {
            write_varint(zigzag(at.as_micros().wrapping_sub(since.as_micros())), out);
            rules::write_object(rule, out);
        }
        Event::RuleEnded(name) => out.extend_from_slice(name.as_str().as_bytes()),
    }
}

fn read_event(
    kind: u8,
    at: Timestamp,
    input: &mut Input<'_>,
    names: &Names,
) -> Result<Event, &'static str> {
    Ok(match kind {
        STARTED => Event::Started(read_start(input)?),
        STOPPED => Event::Stopped,
        HEARTBEAT => Event::Heartbeat,
        JOINED => Event::Joined {
            clock_error: input.duration()?,
        },
        LOST => Event::Lost {
            since: input.since(at)?,
            events: if input.0.is_empty() {
                None
            } else {
                Some(input.varint()?)
            },
        },
        ALLOCATED => Event::Allocated(read_block(input, names)?),
        HELD => Event::Held {
            block: read_block(input, names)?,
            since: input.since(at)?,
        },
        RELEASED => Event::Released {
            block: read_block(input, names)?,
            since: input.since(at)?,
        },
        LIMIT_REACHED => {
            let flags = input.byte()?;
            Event::LimitReached {
                subscriber: read_subscriber(flags, input, names)?,
                limit: match input.byte()? {
                    0 => Limit::Blocks,
                    1 => Limit::Rate,
                    2 => Limit::State,
                    3 => Limit::Ports(Transport::Tcp),
                    4 => Limit::Ports(Transport::Udp),
                    5 => Limit::Ports(Transport::Icmp),
                    _ => return Err("an unknown limit"),
                },
            }
        }
        POOL_EXHAUSTED => Event::PoolExhausted {
            blocks: input.varint32()?,
            resting: input.varint32()?,
        },
        POOL_THRESHOLD => Event::PoolThreshold {
            level: match input.byte()? {
                0 => Level::High,
                1 => Level::Low,
                _ => return Err("an unknown level"),
            },
            in_use: input.varint32()?,
            blocks: input.varint32()?,
        },
        RULE_BEGAN => Event::RuleBegan(read_rule(input)?),
        RULE_HELD => Event::RuleHeld {
            since: input.since(at)?,
            rule: read_rule(input)?,
        },
        RULE_ENDED => {
            let name =
                str::from_utf8(input.rest()).map_err(|_| "a rule's name that is not text")?;
            Event::RuleEnded(RuleName::new(name).map_err(|_| "a rule's name that is none")?)
        }
        _ => return Err("an unknown kind"),
    })
}

fn read_rule(input: &mut Input<'_>) -> Result<Arc<Rule>, &'static str> {
    rules::read_object(input.rest()).ok_or("a rule that cannot be one")
}

fn write_start(start: &Start, out: &mut Vec<u8>) {
    let mut flags = if start.continues { CONTINUES } else { 0 };
    let loss = match start.durability {
        Durability::LogBeforeUse => None,
        Durability::BoundedLoss(loss) => Some(loss),
    };
    if loss.is_some() {
        flags |= BOUNDED_LOSS;
    }
    if start.heartbeat.is_some() {
        flags |= HEARTBEATS;
    }
    out.push(flags);
    let durations = [
        Some(start.clock_error),
        Some(start.guard_time),
        loss,
        start.heartbeat,
    ];
    for duration in durations.into_iter().flatten() {
        write_duration(duration, out);
    }
}

fn write_duration(duration: Duration, out: &mut Vec<u8>) {
    write_varint(duration.as_secs(), out);
    write_varint(duration.subsec_nanos().into(), out);
}

fn read_start(input: &mut Input<'_>) -> Result<Start, &'static str> {
    let flags = input.byte()?;
    if flags & !(CONTINUES | BOUNDED_LOSS | HEARTBEATS) != 0 {
        return Err("unknown flags of a start");
    }
    Ok(Start {
        continues: flags & CONTINUES != 0,
        clock_error: input.duration()?,
        guard_time: input.duration()?,
        durability: if flags & BOUNDED_LOSS == 0 {
            Durability::LogBeforeUse
        } else {
            Durability::BoundedLoss(input.duration()?)
        },
        heartbeat: if flags & HEARTBEATS == 0 {
            None
        } else {
            Some(input.duration()?)
        },
    })
}

fn write_block(block: &Block, realm: u32, out: &mut Vec<u8>) {
    let internal = block.subscriber.internal();
    let transport = match block.transport {
        None => 0,
        Some(Transport::Tcp) => 1,
        Some(Transport::Udp) => 2,
        Some(Transport::Icmp) => 3,
    };
    out.push(transport | internal_flags(internal));
    write_varint(realm.into(), out);
    write_internal(internal, out);
    out.extend_from_slice(&block.external.octets());
    out.extend_from_slice(&block.ports.first().to_le_bytes());
    out.extend_from_slice(&block.ports.last().to_le_bytes());
}

fn read_block(input: &mut Input<'_>, names: &Names) -> Result<Block, &'static str> {
    let flags = input.byte()?;
    Ok(Block {
        subscriber: read_subscriber(flags & !3, input, names)?,
        external: Ipv4Addr::from(input.array::<4>()?),
        ports: PortRange::new(
            u16::from_le_bytes(input.array()?),
            u16::from_le_bytes(input.array()?),
        )
        .map_err(|_| "a port range that ends before it begins")?,
        transport: match flags & 3 {
            1 => Some(Transport::Tcp),
            2 => Some(Transport::Udp),
            3 => Some(Transport::Icmp),
            _ => None,
        },
    })
}

const fn internal_flags(internal: Internal) -> u8 {
    match internal {
        Internal::Address(_) => 0,
        Internal::Prefix(prefix) if prefix.is_address() => IPV6,
        Internal::Prefix(_) => PREFIX,
        Internal::Softwire(_) => PREFIX | SOFTWIRE,
    }
}

fn write_internal(internal: Internal, out: &mut Vec<u8>) {
    match internal {
        Internal::Address(address) => out.extend_from_slice(&address.octets()),
        Internal::Prefix(prefix) if prefix.is_address() => {
            out.extend_from_slice(&prefix.network().octets());
        }
        Internal::Prefix(prefix) | Internal::Softwire(prefix) => {
            out.push(prefix.length());
            let bytes = usize::from(prefix.length().div_ceil(8));
            out.extend(prefix.network().octets().iter().take(bytes));
        }
    }
}

fn read_subscriber(
    flags: u8,
    input: &mut Input<'_>,
    names: &Names,
) -> Result<Subscriber, &'static str> {
    let realm = names.realm(input.varint32()?).ok_or("an undefined realm")?;
    let internal = match flags {
        0 => Internal::Address(input.array::<4>()?.into()),
        IPV6 => Internal::Prefix(Ipv6Addr::from(input.array::<16>()?).into()),
        PREFIX => match read_prefix(input)? {
            prefix if prefix.is_address() => return Err("a prefix that is an address"),
            prefix => Internal::Prefix(prefix),
        },
        _ if flags == PREFIX | SOFTWIRE => Internal::Softwire(read_prefix(input)?),
        _ => return Err("unknown flags of a subscriber"),
    };
    Ok(Subscriber::of(realm.clone(), internal))
}

fn read_prefix(input: &mut Input<'_>) -> Result<Ipv6Prefix, &'static str> {
    let length = input.byte()?;
    let mut network = [0; 16];
    let bytes = network.get_mut(..usize::from(length.div_ceil(8)));
    bytes
        .ok_or("a prefix that is too long")?
        .copy_from_slice(input.take(length.div_ceil(8).into())?);
    Ipv6Prefix::new(network.into(), length).map_err(|_| "a prefix with bits behind its length")
}

#[cfg(test)]
mod tests;
