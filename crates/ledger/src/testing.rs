//! Records for tests.

use std::{net::Ipv4Addr, time::Duration};

use portledger_model::{
    Block, Device, Durability, Event, Level, Limit, PortRange, Realm, Record, Start, Subscriber,
    Timestamp, Transport,
};
use proptest::prelude::*;

/// The one external address of most tests.
pub(crate) const EXTERNAL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// A time in seconds of the tests' own reckoning.
pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// A block on [`EXTERNAL`].
pub(crate) fn block(internal: &str, first: u16, last: u16) -> Block {
    Block {
        subscriber: Subscriber::new(Realm::default(), internal.parse().unwrap()),
        external: EXTERNAL,
        ports: PortRange::new(first, last).unwrap(),
        transport: None,
    }
}

/// An event of the device `cgn1`.
pub(crate) fn record(secs: i64, event: Event) -> Record {
    record_of("cgn1", secs, event)
}

/// An event of any device.
pub(crate) fn record_of(device: &str, secs: i64, event: Event) -> Record {
    Record {
        at: at(secs),
        device: Device::new(device).unwrap(),
        event,
    }
}

/// A start that promises everything.
pub(crate) fn start() -> Start {
    Start {
        clock_error: Duration::from_millis(10),
        guard_time: Duration::from_secs(120),
        durability: Durability::LogBeforeUse,
        continues: true,
    }
}

fn any_duration() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos))
}

fn any_start() -> impl Strategy<Value = Start> {
    (
        any_duration(),
        any_duration(),
        prop::option::of(any_duration()),
        any::<bool>(),
    )
        .prop_map(|(clock_error, guard_time, loss, continues)| Start {
            clock_error,
            guard_time,
            durability: loss.map_or(Durability::LogBeforeUse, Durability::BoundedLoss),
            continues,
        })
}

fn any_subscriber() -> impl Strategy<Value = Subscriber> {
    ("[a-z._-]{1,64}", any::<std::net::IpAddr>())
        .prop_map(|(realm, internal)| Subscriber::new(Realm::new(&realm).unwrap(), internal))
}

fn any_transport() -> impl Strategy<Value = Transport> {
    prop::sample::select(Transport::ALL.to_vec())
}

fn any_block() -> impl Strategy<Value = Block> {
    (
        any_subscriber(),
        any::<Ipv4Addr>(),
        any::<(u16, u16)>(),
        prop::option::of(any_transport()),
    )
        .prop_map(|(subscriber, external, (a, b), transport)| Block {
            subscriber,
            external,
            ports: PortRange::new(a.min(b), a.max(b)).unwrap(),
            transport,
        })
}

fn any_limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        Just(Limit::Blocks),
        Just(Limit::Rate),
        Just(Limit::State),
        any_transport().prop_map(Limit::Ports),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let time = || any::<i64>().prop_map(Timestamp::from_micros);
    prop_oneof![
        any_start().prop_map(Event::Started),
        Just(Event::Stopped),
        Just(Event::Heartbeat),
        any_block().prop_map(Event::Allocated),
        (any_block(), time()).prop_map(|(block, since)| Event::Held { block, since }),
        (any_block(), time()).prop_map(|(block, since)| Event::Released { block, since }),
        (any_subscriber(), any_limit())
            .prop_map(|(subscriber, limit)| Event::LimitReached { subscriber, limit }),
        any::<(u32, u32)>().prop_map(|(blocks, resting)| Event::PoolExhausted { blocks, resting }),
        (any::<bool>(), any::<(u32, u32)>()).prop_map(|(high, (in_use, blocks))| {
            Event::PoolThreshold {
                level: if high { Level::High } else { Level::Low },
                in_use,
                blocks,
            }
        }),
    ]
}

/// Any record at all.
pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    ("[a-z0-9._-]{1,64}", any::<i64>(), any_event()).prop_map(|(device, at, event)| Record {
        at: Timestamp::from_micros(at),
        device: Device::new(&device).unwrap(),
        event,
    })
}
