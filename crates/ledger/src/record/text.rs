//! The text of a record that is hashed into the tree: what a proof shows.
//!
//! One JSON object without spaces, its fields in this order, times in UTC with six places,
//! durations in nanoseconds. A judge's expert reads it with any tool; it never changes, since
//! the hashes are made from it.
//!
//! ```text
//! {"at":"2026-11-01T09:12:44.120000Z","device":"cgn1","event":"allocated","realm":"default",
//!  "internal":"100.64.3.9","external":"203.0.113.7","first":39936,"last":40191,"transport":"any"}
//! ```
//!
//! `internal` is an address or an IPv6 prefix; where it is the B4's of a softwire,
//! `"internal_kind":"softwire"` follows.

use std::{io::Write as _, net::Ipv4Addr, time::Duration};

use portledger_model::{
    Block, Device, Durability, Event, Internal, Level, Limit, PortRange, Realm, Record, Start,
    Subscriber, Timestamp, Transport,
};
use serde_json::{Map, Value};

use crate::{
    calendar::civil,
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

/// Reads the text of a record that has no block; `None` where it is none.
pub(crate) fn read(text: &str) -> Option<Record> {
    let Value::Object(fields) = serde_json::from_str(text).ok()? else {
        return None;
    };
    let event = match fields.get("event")?.as_str()? {
        "started" => Event::Started(read_start(&fields)?),
        "joined" => Event::Joined {
            clock_error: Duration::from_nanos(fields.get("clock_error_ns")?.as_u64()?),
        },
        "stopped" => Event::Stopped,
        "heartbeat" => Event::Heartbeat,
        "lost" => Event::Lost {
            since: read_time(&fields, "since")?,
            events: match fields.get("events") {
                None => None,
                Some(events) => Some(events.as_u64()?),
            },
        },
        "limit-reached" => Event::LimitReached {
            subscriber: read_subscriber(&fields)?,
            limit: read_limit(fields.get("limit")?.as_str()?)?,
        },
        "pool-exhausted" => Event::PoolExhausted {
            blocks: read_u32(&fields, "blocks")?,
            resting: read_u32(&fields, "resting")?,
        },
        "pool-threshold" => Event::PoolThreshold {
            level: match fields.get("level")?.as_str()? {
                "high" => Level::High,
                "low" => Level::Low,
                _ => return None,
            },
            in_use: read_u32(&fields, "in_use")?,
            blocks: read_u32(&fields, "blocks")?,
        },
        "allocated" => Event::Allocated(read_block(&fields)?),
        "held" => Event::Held {
            block: read_block(&fields)?,
            since: read_time(&fields, "since")?,
        },
        "released" => Event::Released {
            block: read_block(&fields)?,
            since: read_time(&fields, "since")?,
        },
        "rule-began" => Event::RuleBegan(rules::read(&fields)?),
        "rule-held" => Event::RuleHeld {
            rule: rules::read(&fields)?,
            since: read_time(&fields, "since")?,
        },
        "rule-ended" => Event::RuleEnded(rules::read_name(&fields)?),
        _ => return None,
    };
    Some(Record {
        at: read_time(&fields, "at")?,
        device: Device::new(fields.get("device")?.as_str()?).ok()?,
        event,
    })
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

const LIMITS: [(Limit, &str); 6] = [
    (Limit::Blocks, "blocks"),
    (Limit::Rate, "rate"),
    (Limit::State, "state"),
    (Limit::Ports(Transport::Tcp), "tcp-ports"),
    (Limit::Ports(Transport::Udp), "udp-ports"),
    (Limit::Ports(Transport::Icmp), "icmp-identifiers"),
];

fn limit_name(limit: Limit) -> &'static str {
    let known = LIMITS.iter().find(|(known, _)| *known == limit);
    known.map_or("", |(_, name)| name)
}

fn read_limit(name: &str) -> Option<Limit> {
    let known = LIMITS.iter().find(|(_, known)| *known == name);
    known.map(|(limit, _)| *limit)
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

fn read_start(fields: &Map<String, Value>) -> Option<Start> {
    let duration = |name| match fields.get(name) {
        None => Some(None),
        Some(nanos) => nanos
            .as_u64()
            .map(|nanos| Some(Duration::from_nanos(nanos))),
    };
    Some(Start {
        clock_error: duration("clock_error_ns")??,
        guard_time: duration("guard_time_ns")??,
        durability: match duration("loss_ns")? {
            None => Durability::LogBeforeUse,
            Some(loss) => Durability::BoundedLoss(loss),
        },
        continues: fields.get("continues")?.as_bool()?,
        heartbeat: duration("heartbeat_ns")?,
    })
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

fn read_block(fields: &Map<String, Value>) -> Option<Block> {
    let port = |name| u16::try_from(fields.get(name)?.as_u64()?).ok();
    Some(Block {
        subscriber: read_subscriber(fields)?,
        external: fields.get("external")?.as_str()?.parse().ok()?,
        ports: PortRange::new(port("first")?, port("last")?).ok()?,
        transport: match fields.get("transport")?.as_str()? {
            "any" => None,
            "tcp" => Some(Transport::Tcp),
            "udp" => Some(Transport::Udp),
            "icmp" => Some(Transport::Icmp),
            _ => return None,
        },
    })
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

fn read_subscriber(fields: &Map<String, Value>) -> Option<Subscriber> {
    let is_softwire = match fields.get("internal_kind") {
        None => false,
        Some(kind) if kind == Internal::SOFTWIRE => true,
        Some(_) => return None,
    };
    Some(Subscriber::of(
        Realm::new(fields.get("realm")?.as_str()?).ok()?,
        Internal::parse(fields.get("internal")?.as_str()?, is_softwire).ok()?,
    ))
}

fn write_address(address: Ipv4Addr, out: &mut Vec<u8>) {
    let mut text = [b'.'; 16];
    let mut length = 0;
    for octet in address.octets() {
        let [digits @ .., count] = OCTETS[usize::from(octet)];
        text[length..length + 3].copy_from_slice(&digits);
        length += usize::from(count);
        text[length] = b'.';
        length += 1;
    }
    append(&text, length - 1, out);
}

fn write_since(since: Timestamp, dates: &mut Dates, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"since\":");
    dates.write_time(since, out);
}

/// Bytes of a usual text: reserved at once.
const USUAL: usize = 320;

const DAY: i64 = 86_400_000_000;

/// The date that was written last, as a text.
#[derive(Default)]
struct Dates {
    /// Microseconds from 1970 on to its midnight, and its year, month and day as they are written.
    last: Option<(i64, [u8; 10])>,
}

impl Dates {
    /// RFC 3339 with six places; outside the years 0 to 9999 the number of microseconds.
    fn write_time(&mut self, at: Timestamp, out: &mut Vec<u8>) {
        let micros = at.as_micros();
        let known = self
            .last
            .filter(|(midnight, _)| (0..DAY).contains(&micros.saturating_sub(*midnight)));
        let Some((midnight, date)) = known.or_else(|| date(micros)) else {
            drop(write!(out, "{micros}"));
            return;
        };
        self.last = Some((midnight, date));
        // Less than a day, which has 86,400 seconds.
        let of_day = (micros - midnight) as u64;
        let (seconds, fraction) = ((of_day / 1_000_000) as u32, (of_day % 1_000_000) as u32);
        let mut text = *b"\"0000-00-00T00:00:00.000000Z\"";
        text[1..11].copy_from_slice(&date);
        text[12..14].copy_from_slice(two(seconds / 3_600));
        text[15..17].copy_from_slice(two(seconds / 60 % 60));
        text[18..20].copy_from_slice(two(seconds % 60));
        text[21..23].copy_from_slice(two(fraction / 10_000));
        text[23..25].copy_from_slice(two(fraction / 100 % 100));
        text[25..27].copy_from_slice(two(fraction % 100));
        out.extend_from_slice(&text);
    }
}

/// The midnight before a time, and its date as a text; `None` outside the years 0 to 9999.
fn date(micros: i64) -> Option<(i64, [u8; 10])> {
    let number = micros.div_euclid(DAY);
    let (year, month, day) = civil(number as i32);
    let year = u32::try_from(year).ok().filter(|year| *year <= 9_999)?;
    let mut text = *b"0000-00-00";
    text[..2].copy_from_slice(two(year / 100));
    text[2..4].copy_from_slice(two(year % 100));
    text[5..7].copy_from_slice(two(month));
    text[8..].copy_from_slice(two(day));
    Some((number * DAY, text))
}

/// The two digits of a number below 100.
fn two(number: u32) -> &'static [u8; 2] {
    &PAIRS[number as usize % 100]
}

static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// The digits of each octet from the left, and how many these are.
static OCTETS: [[u8; 4]; 256] = {
    let mut octets = [[0; 4]; 256];
    let mut octet = 0;
    while octet < 256 {
        let [hundreds, tens, ones] = [octet / 100, octet / 10 % 10, octet % 10];
        let [hundreds, tens, ones] = [b'0' + hundreds as u8, b'0' + tens as u8, b'0' + ones as u8];
        octets[octet] = if octet >= 100 {
            [hundreds, tens, ones, 3]
        } else if octet >= 10 {
            [tens, ones, 0, 2]
        } else {
            [ones, 0, 0, 1]
        };
        octet += 1;
    }
    octets
};

fn read_time(fields: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    match fields.get(name)? {
        Value::String(text) => text.parse().ok(),
        micros => micros.as_i64().map(Timestamp::from_micros),
    }
}

fn read_u32(fields: &Map<String, Value>, name: &str) -> Option<u32> {
    u32::try_from(fields.get(name)?.as_u64()?).ok()
}

/// Appends the first `length` bytes of `text`. All are copied, since the compiler knows how many
/// these are, and the rest is cut off again.
fn append<const N: usize>(text: &[u8; N], length: usize, out: &mut Vec<u8>) {
    let end = out.len() + length;
    out.extend_from_slice(text);
    out.truncate(end);
}

/// [`digits`] of a number below 65,536.
fn port(port: u16, out: &mut Vec<u8>) {
    let value = u32::from(port);
    let mut text = [b'0'; 8];
    text[3] += (value / 10_000) as u8;
    text[4..6].copy_from_slice(two(value / 100 % 100));
    text[6..].copy_from_slice(two(value % 100));
    let length = match value {
        10_000.. => 5,
        1_000.. => 4,
        100.. => 3,
        10.. => 2,
        _ => 1,
    };
    // To the left, in one number: its lowest byte is written first.
    let text = u64::from_le_bytes(text) >> (64 - 8 * length);
    append(&text.to_le_bytes(), length as usize, out);
}

fn number(name: &[u8], value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    digits(value, out);
}

fn digits(mut value: u64, out: &mut Vec<u8>) {
    let mut text = [0; 20];
    let mut at = text.len();
    while value >= 10 {
        at -= 2;
        text[at..at + 2].copy_from_slice(two((value % 100) as u32));
        value /= 100;
    }
    // The highest of an odd number of digits; where the number is none, its one.
    if value > 0 || at == text.len() {
        at -= 1;
        text[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{any_record, block, record};
    use proptest::prelude::*;

    fn text(record: &Record) -> String {
        let mut out = Vec::new();
        write(record, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_text_is_what_it_was() {
        let block = block("100.64.3.9", 39_936, 40_191);
        let since = Timestamp::from_micros(1_793_524_364_120_001);
        let at = Timestamp::from_secs(1_793_534_400);
        let told = |event| {
            text(&Record {
                at,
                ..record(0, event)
            })
        };
        assert_eq!(
            told(Event::Released { block, since }),
            r#"{"at":"2026-11-01T12:00:00.000000Z","device":"cgn1","event":"released","realm":"default","internal":"100.64.3.9","external":"203.0.113.7","first":39936,"last":40191,"transport":"any","since":"2026-11-01T09:12:44.120001Z"}"#
        );
        assert_eq!(
            told(Event::Started(crate::testing::start())),
            r#"{"at":"2026-11-01T12:00:00.000000Z","device":"cgn1","event":"started","continues":true,"clock_error_ns":10000000,"guard_time_ns":120000000000}"#
        );
    }

    #[test]
    fn the_text_names_each_kind_of_subscriber() {
        let told = |internal: &str| {
            let text = text(&record(0, Event::Allocated(block(internal, 1_024, 1_279))));
            let (_, from) = text.split_once(r#""realm":"default","#).unwrap();
            from.split_once(r#","external""#).unwrap().0.to_owned()
        };
        assert_eq!(told("2001:db8::9"), r#""internal":"2001:db8::9""#);
        assert_eq!(
            told("2001:db8:1:2::/64"),
            r#""internal":"2001:db8:1:2::/64""#
        );
        assert_eq!(
            told("softwire 2001:db8::9"),
            r#""internal":"2001:db8::9","internal_kind":"softwire""#
        );
    }

    #[test]
    fn the_texts_of_rules_are_what_they_were() {
        for says in [
            r#"{"at":"2026-03-01T00:00:00.000000Z","device":"br1","event":"rule-began","rule":"west","kind":"map","realm":"default","ipv6":"2001:db8::/40","ipv4":"192.0.2.0/24","ea_length":16,"psid_offset":6}"#,
            r#"{"at":"2026-03-01T00:00:00.000000Z","device":"cgn1","event":"rule-held","rule":"deterministic","kind":"deterministic","realm":"default","inside":"100.64.0.0/28","outside":"192.0.2.1","ports":"1024-65535","compression":16,"ports_each":3584,"since":"2026-02-01T00:00:00.000000Z"}"#,
            r#"{"at":"2026-03-01T00:00:00.000000Z","device":"br1","event":"rule-ended","rule":"west"}"#,
        ] {
            assert_eq!(text(&read(says).unwrap()), says);
        }
    }

    proptest! {
        #[test]
        fn a_text_is_json_and_reads_back_to_the_same_text(record in any_record()) {
            let written = text(&record);
            let back = read(&written).unwrap();
            prop_assert_eq!(text(&back), written);
        }

        #[test]
        fn a_time_is_written_as_everywhere_else(
            micros in -62_000_000_000_000_000..250_000_000_000_000_000_i64,
            apart in -3 * DAY..3 * DAY,
        ) {
            let before = micros + apart;
            let at = Timestamp::from_micros(micros);
            let mut out = Vec::new();
            let mut dates = Dates::default();
            // Whatever was written before.
            dates.write_time(Timestamp::from_micros(before), &mut out);
            out.clear();
            dates.write_time(at, &mut out);
            let text = std::str::from_utf8(&out).unwrap().trim_matches('"');
            prop_assert_eq!(text.parse::<Timestamp>().unwrap(), at);
        }

        #[test]
        fn a_number_is_written_as_everywhere_else(value: u64, shift in 0..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            digits(value, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }

        #[test]
        fn a_port_is_written_as_everywhere_else(value: u16, shift in 0..16) {
            let value = value >> shift;
            let mut out = Vec::new();
            port(value, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }

        #[test]
        fn an_address_is_written_as_everywhere_else(address: u32) {
            let address = Ipv4Addr::from_bits(address);
            let mut out = Vec::new();
            write_address(address, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), address.to_string());
        }
    }
}
