//! Writing a text, which is done for every record before it is hashed.

use std::{io::Write as _, time::Duration};

use portledger_model::{
    Block, Device, Durability, Event, Internal, Level, Limit, Realm, Record, Start, Subscriber,
    Timestamp, Transport,
};

use super::{
    LIMITS,
    dates::Dates,
    digits::{number, port, write_address},
};
use crate::{
    log::last::{Last, Name},
    record::rules,
};

/// Appends a record's text.
pub(crate) fn write(record: &Record, out: &mut Vec<u8>) {
    Texts::default().write(record, out);
}

/// Writes the texts of many records, of which most were made on the same date, by the same device
/// and for subscribers of the same realm.
#[derive(Default)]
pub(crate) struct Texts {
    dates: Dates,
    names: Names,
}

/// Copies of the names that were written last.
#[derive(Default)]
struct Names {
    device: Last<Device, Box<str>>,
    realm: Last<Realm, Box<str>>,
}

impl Texts {
    /// Appends a record's text.
    pub(crate) fn write(&mut self, record: &Record, out: &mut Vec<u8>) {
        write_record(record, &mut self.dates, &mut self.names, out);
    }
}

fn write_record(record: &Record, dates: &mut Dates, names: &mut Names, out: &mut Vec<u8>) {
    out.reserve(USUAL);
    out.extend_from_slice(b"{\"at\":");
    dates.write_time(record.at, out);
    out.extend_from_slice(b",\"device\":\"");
    // Names hold nothing that JSON would have to quote.
    write_name(&record.device, &mut names.device, out);
    out.extend_from_slice(b"\",\"event\":\"");
    match &record.event {
        // Nearly all: what is copied has a length that the compiler knows.
        Event::Allocated(_) => out.extend_from_slice(b"allocated\""),
        Event::Released { .. } => out.extend_from_slice(b"released\""),
        other => {
            out.extend_from_slice(name(other).as_bytes());
            out.push(b'"');
        }
    }
    match &record.event {
        Event::Started(start) => write_start(start, out),
        Event::Joined { clock_error } => {
            number(b",\"clock_error_ns\":", nanos(*clock_error), out);
        }
        Event::Stopped | Event::Heartbeat => {}
        Event::Lost { since, events } => {
            write_since(*since, dates, out);
            if let Some(events) = events {
                number(b",\"events\":", *events, out);
            }
        }
        Event::Allocated(block) => write_block(block, names, out),
        Event::Held { block, since } | Event::Released { block, since } => {
            write_block(block, names, out);
            write_since(*since, dates, out);
        }
        Event::LimitReached { subscriber, limit } => {
            write_subscriber(subscriber, names, out);
            out.extend_from_slice(b",\"limit\":\"");
            out.extend_from_slice(limit_name(*limit).as_bytes());
            out.push(b'"');
        }
        Event::PoolExhausted { blocks, resting } => {
            number(b",\"blocks\":", (*blocks).into(), out);
            number(b",\"resting\":", (*resting).into(), out);
        }
        Event::PoolThreshold {
            level,
            in_use,
            blocks,
        } => {
            out.extend_from_slice(match level {
                Level::High => b",\"level\":\"high\"",
                Level::Low => b",\"level\":\"low\"",
            });
            number(b",\"in_use\":", (*in_use).into(), out);
            number(b",\"blocks\":", (*blocks).into(), out);
        }
        Event::RuleBegan(rule) => rules::write(rule, out),
        Event::RuleHeld { rule, since } => {
            rules::write(rule, out);
            write_since(*since, dates, out);
        }
        Event::RuleEnded(name) => rules::write_name(name, out),
    }
    out.push(b'}');
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Started(_) => "started",
        Event::Joined { .. } => "joined",
        Event::Stopped => "stopped",
        Event::Heartbeat => "heartbeat",
        Event::Lost { .. } => "lost",
        Event::Allocated(_) => "allocated",
        Event::Held { .. } => "held",
        Event::Released { .. } => "released",
        Event::LimitReached { .. } => "limit-reached",
        Event::PoolExhausted { .. } => "pool-exhausted",
        Event::PoolThreshold { .. } => "pool-threshold",
        Event::RuleBegan(_) => "rule-began",
        Event::RuleHeld { .. } => "rule-held",
        Event::RuleEnded(_) => "rule-ended",
    }
}

fn limit_name(limit: Limit) -> &'static str {
    let known = LIMITS.iter().find(|(known, _)| *known == limit);
    known.map_or("", |(_, name)| name)
}

fn write_start(start: &Start, out: &mut Vec<u8>) {
    out.extend_from_slice(if start.continues {
        b",\"continues\":true"
    } else {
        b",\"continues\":false"
    });
    number(b",\"clock_error_ns\":", nanos(start.clock_error), out);
    number(b",\"guard_time_ns\":", nanos(start.guard_time), out);
    if let Durability::BoundedLoss(loss) = start.durability {
        number(b",\"loss_ns\":", nanos(loss), out);
    }
    if let Some(heartbeat) = start.heartbeat {
        number(b",\"heartbeat_ns\":", nanos(heartbeat), out);
    }
}

/// Five hundred years at most: no duration of a device is longer.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn write_block(block: &Block, names: &mut Names, out: &mut Vec<u8>) {
    write_subscriber(&block.subscriber, names, out);
    out.extend_from_slice(b",\"external\":\"");
    write_address(block.external, out);
    out.extend_from_slice(b"\",\"first\":");
    port(block.ports.first(), out);
    out.extend_from_slice(b",\"last\":");
    port(block.ports.last(), out);
    match block.transport {
        None => out.extend_from_slice(b",\"transport\":\"any\""),
        Some(Transport::Tcp) => out.extend_from_slice(b",\"transport\":\"tcp\""),
        Some(Transport::Udp) => out.extend_from_slice(b",\"transport\":\"udp\""),
        Some(Transport::Icmp) => out.extend_from_slice(b",\"transport\":\"icmp\""),
    }
}

fn write_subscriber(subscriber: &Subscriber, names: &mut Names, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"realm\":\"");
    write_name(subscriber.realm(), &mut names.realm, out);
    out.extend_from_slice(b"\",\"internal\":\"");
    match subscriber.internal() {
        Internal::Address(address) => write_address(address, out),
        // Writing to memory cannot fail.
        Internal::Prefix(prefix) => drop(write!(out, "{prefix}")),
        Internal::Softwire(prefix) => {
            drop(write!(
                out,
                "{prefix}\",\"internal_kind\":\"{}",
                Internal::SOFTWIRE
            ));
        }
    }
    out.push(b'"');
}

fn write_name<N: Name>(name: &N, last: &mut Last<N, Box<str>>, out: &mut Vec<u8>) {
    if let Some(text) = last.get(name) {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(name.text().as_bytes());
        last.put(name, name.text().into());
    }
}

fn write_since(since: Timestamp, dates: &mut Dates, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"since\":");
    dates.write_time(since, out);
}

/// Bytes of a usual text: reserved at once.
const USUAL: usize = 320;
