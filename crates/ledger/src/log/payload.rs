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

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use portledger_model::{
    Block, Device, Durability, Event, Internal, Ipv6Prefix, Level, Limit, PortRange, Realm, Record,
    Rule, RuleName, Start, Subscriber, Timestamp, Transport,
};

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

/// LEB128: seven bits a byte, the lowest first.
fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// What is left of a payload.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (array, rest) = self.0.split_first_chunk().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err("a number that is too large");
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number that is too long")
    }

    fn varint32(&mut self) -> Result<u32, &'static str> {
        u32::try_from(self.varint()?).map_err(|_| "a number that is too large")
    }

    fn duration(&mut self) -> Result<Duration, &'static str> {
        let (secs, nanos) = (self.varint()?, self.varint32()?);
        if nanos < 1_000_000_000 {
            Ok(Duration::new(secs, nanos))
        } else {
            Err("a duration with more than a second of nanoseconds")
        }
    }

    fn since(&mut self, at: Timestamp) -> Result<Timestamp, &'static str> {
        let age = unzigzag(self.varint()?);
        Ok(Timestamp::from_micros(at.as_micros().wrapping_sub(age)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::any_record;
    use proptest::prelude::*;

    fn written(record: &Record, names: &mut Names) -> Vec<u8> {
        let mut out = Vec::new();
        write_record(record, names, &mut out);
        out
    }

    #[test]
    fn a_block_event_is_small() {
        for (internal, allocated, released) in [
            ("100.64.3.9", 26, 32),
            ("2001:db8::9", 38, 44),
            ("2001:db8:1:2::/64", 31, 37),
            ("softwire 2001:db8::9", 39, 45),
        ] {
            let block = crate::testing::block(internal, 1_024, 1_279);
            let at = Timestamp::from_secs(1_790_000_000);
            let device = Device::new("cgn1").unwrap();
            let mut names = Names::default();
            let record = |event| Record {
                at,
                device: device.clone(),
                event,
            };
            written(&record(Event::Allocated(block.clone())), &mut names);
            let first = written(&record(Event::Allocated(block.clone())), &mut names);
            let since = at.before(Duration::from_secs(4 * 3_600));
            let last = written(&record(Event::Released { block, since }), &mut names);
            assert!(first.len() <= allocated, "{}", first.len());
            assert!(last.len() <= released, "{}", last.len());
        }
    }

    /// What a block's event adds to its kind, time and device.
    fn block_bytes(internal: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write_block(&crate::testing::block(internal, 1_024, 1_279), 0, &mut out);
        out
    }

    #[test]
    fn the_bytes_of_each_kind_of_subscriber_are_what_they_were() {
        // On 203.0.113.7, ports 1024 to 1279.
        const TAIL: [u8; 8] = [203, 0, 113, 7, 0, 4, 255, 4];
        let golden: [(&str, &[u8]); 5] = [
            ("100.64.3.9", &[0, 0, 100, 64, 3, 9]),
            (
                "2001:db8::9",
                &[4, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
            ),
            (
                "2001:db8:1:2::/64",
                &[8, 0, 64, 0x20, 1, 0xd, 0xb8, 0, 1, 0, 2],
            ),
            ("2001:db8:8::/45", &[8, 0, 45, 0x20, 1, 0xd, 0xb8, 0, 8]),
            (
                "softwire 2001:db8:0:100::/56",
                &[24, 0, 56, 0x20, 1, 0xd, 0xb8, 0, 0, 1],
            ),
        ];
        for (internal, bytes) in golden {
            assert_eq!(block_bytes(internal), [bytes, &TAIL].concat(), "{internal}");
            let mut names = Names::default();
            names.define("default");
            let block = read_block(&mut Input(&block_bytes(internal)), &names).unwrap();
            assert_eq!(block.subscriber.internal().to_string(), internal);
        }
    }

    #[test]
    fn a_subscriber_is_written_in_one_way_only() {
        let mut names = Names::default();
        names.define("default");
        let read = |bytes: &[u8]| {
            let mut input = Input(bytes);
            let flags = input.byte().unwrap();
            read_subscriber(flags, &mut input, &names).map(|_| ())
        };
        let address = [&[PREFIX, 0, 128][..], &[1; 16]].concat();
        assert_eq!(read(&address), Err("a prefix that is an address"));
        let host_bits = [PREFIX, 0, 12, 0x20, 0x01];
        assert_eq!(
            read(&host_bits),
            Err("a prefix with bits behind its length")
        );
        let too_long = [&[PREFIX, 0, 129][..], &[0; 17]].concat();
        assert_eq!(read(&too_long), Err("a prefix that is too long"));
        assert_eq!(read(&[PREFIX, 0, 64, 0x20]), Err("it ends too early"));
        for flags in [SOFTWIRE, IPV6 | PREFIX, 32] {
            let bytes = [&[flags, 0][..], &[0; 17]].concat();
            assert_eq!(read(&bytes), Err("unknown flags of a subscriber"));
        }
    }

    /// Logs with these bytes are read for ever.
    #[test]
    fn the_bytes_of_rules_are_what_they_were() {
        let text = br#"{"rule":"west","kind":"map","realm":"default","ipv6":"2001:db8::/40","ipv4":"192.0.2.0/24","ea_length":16,"psid_offset":6}"#;
        let rule = rules::read_object(text).unwrap();
        let at = Timestamp::from_micros(0x0102_0304_0506);
        let since = at.before(Duration::from_micros(300));
        // The time, and the device's number.
        let head = [6, 5, 4, 3, 2, 1, 0, 0, 0];
        for (event, kind, content) in [
            (Event::RuleBegan(Arc::clone(&rule)), 13, text.to_vec()),
            (
                Event::RuleHeld {
                    rule: Arc::clone(&rule),
                    since,
                },
                14,
                [&[0xd8, 0x04], text.as_slice()].concat(),
            ),
            (Event::RuleEnded(rule.name.clone()), 15, b"west".to_vec()),
        ] {
            let device = Device::new("cgn1").unwrap();
            let record = Record { at, device, event };
            let payload = [&[kind], head.as_slice(), content.as_slice()].concat();
            let mut names = Names::default();
            names.define("cgn1");
            let back = read(&payload, &mut names).unwrap();
            assert_eq!(back, Payload::Record(record.clone()));
            let length = u16::try_from(payload.len()).unwrap().to_le_bytes();
            let bytes = written(&record, &mut names);
            assert_eq!(bytes, [length.as_slice(), payload.as_slice()].concat());
        }
    }

    proptest! {
        #[test]
        fn a_record_comes_back(records in prop::collection::vec(any_record(), 1..20)) {
            let (mut names, mut bytes) = (Names::default(), Vec::new());
            for record in &records {
                write_record(record, &mut names, &mut bytes);
            }
            let (mut names, mut rest, mut back) = (Names::default(), &bytes[..], Vec::new());
            while !rest.is_empty() {
                let (length, after) = rest.split_first_chunk().unwrap();
                let (payload, after) = after.split_at(usize::from(u16::from_le_bytes(*length)));
                if let Payload::Record(record) = read(payload, &mut names).unwrap() {
                    back.push(record);
                }
                rest = after;
            }
            prop_assert_eq!(back, records);
        }

        #[test]
        fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..64), kind in 0..17_u8) {
            let mut names = Names::default();
            names.define("cgn1");
            let mut payload = payload;
            let _ = read(&payload, &mut names);
            if let Some(first) = payload.first_mut() {
                *first = kind;
            }
            let _ = read(&payload, &mut names);
        }

        #[test]
        fn zigzag_and_back(value in any::<i64>()) {
            prop_assert_eq!(unzigzag(zigzag(value)), value);
        }
    }
}
