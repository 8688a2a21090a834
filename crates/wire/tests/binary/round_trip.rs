//! Whatever our NAT tells goes out and comes back the same.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use portledger_model::{
    Durability, Internal, Ipv6Prefix, Level, Limit, PortRange, Realm, Start, Subscriber, Timestamp,
    Transport,
};
use portledger_wire::{
    EventTime, Holding, Kind, NatEvent, Phase, Told,
    flow::{
        ExportError, ExportSettings, Exporter, Item, Limits, Medium, Precision, Session, Version,
    },
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

/// Exports the events in as many messages as it takes.
pub(crate) fn export(settings: ExportSettings, events: &[NatEvent]) -> Vec<Vec<u8>> {
    let mut exporter = Exporter::new(settings);
    let (mut rest, mut messages) = (events, Vec::new());
    while !rest.is_empty() {
        let mut message = Vec::new();
        let taken = exporter.message(NOW, rest, &mut message).unwrap();
        assert!(taken > 0 && message.len() <= settings.max_bytes);
        rest = &rest[taken..];
        messages.push(message);
    }
    messages
}

/// Reads messages in which nothing is wrong.
pub(crate) fn import(messages: &[Vec<u8>]) -> Vec<NatEvent> {
    let mut session = Session::new(Medium::Datagrams, Limits::default());
    let mut events = Vec::new();
    for message in messages {
        session.datagram(message, NOW, &mut |item| match item {
            Item::Event { domain: 7, event } => events.push(event),
            other => panic!("{other:?}"),
        });
    }
    session.finish(NOW, &mut |item| panic!("{item:?}"));
    events
}

fn settings(version: Version, precision: Precision) -> ExportSettings {
    ExportSettings {
        version,
        precision,
        domain: 7,
        ..ExportSettings::default()
    }
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (1_u32..).prop_map(|bits| IpAddr::V4(bits.into())),
        (1_u128..).prop_map(|bits| IpAddr::V6(bits.into())),
    ]
}

fn subscriber() -> impl Strategy<Value = Subscriber> {
    let realm = prop_oneof![
        3 => Just(Realm::default()),
        1 => "[a-zA-Z0-9._-]{1,64}".prop_map(|name| Realm::new(&name).unwrap()),
    ];
    let prefix = (1_u128.., 1..=128_u8)
        .prop_map(|(bits, length)| Ipv6Prefix::around(bits.into(), length).unwrap())
        .prop_filter("zeros are not told", |prefix| {
            !prefix.network().is_unspecified()
        });
    let internal = prop_oneof![
        address().prop_map(Internal::from),
        prefix.clone().prop_map(Internal::Prefix),
        prefix.prop_map(Internal::Softwire),
    ];
    (realm, internal).prop_map(|(realm, internal)| Subscriber::of(realm, internal))
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![Just(Phase::Begun), Just(Phase::Held), Just(Phase::Ended)]
}

fn transport() -> impl Strategy<Value = Transport> {
    prop::sample::select(Transport::ALL.to_vec())
}

fn ports() -> impl Strategy<Value = PortRange> {
    (any::<u16>(), any::<u16>()).prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap())
}

fn kind() -> impl Strategy<Value = Kind> {
    let port = || prop::option::of(any::<u16>());
    let destination = prop::option::of((address(), any::<u16>()).prop_map(SocketAddr::from));
    prop_oneof![
        Just(Kind::Block),
        port().prop_map(|internal_port| Kind::Mapping { internal_port }),
        (port(), destination).prop_map(|(internal_port, destination)| Kind::Session {
            internal_port,
            destination,
        }),
    ]
}

fn holding() -> impl Strategy<Value = Told> {
    (
        phase(),
        kind(),
        prop::option::of(subscriber()),
        1_u32..,
        ports(),
        prop::option::of(transport()),
        prop::option::of(1_i64..500_000_000_000_000),
    )
        .prop_map(
            |(phase, kind, subscriber, external, ports, transport, since)| {
                Told::Ports(Holding {
                    phase,
                    kind,
                    subscriber,
                    external: Ipv4Addr::from(external),
                    // Whoever knows of single ports knows of one port a mapping.
                    ports: if kind == Kind::Block {
                        ports
                    } else {
                        PortRange::single(ports.first())
                    },
                    transport,
                    since: since
                        .map(Timestamp::from_micros)
                        .filter(|_| phase != Phase::Begun),
                })
            },
        )
}

fn start() -> impl Strategy<Value = Told> {
    let duration = || (0_u64..1 << 40).prop_map(Duration::from_micros);
    let durability = prop_oneof![
        Just(Durability::LogBeforeUse),
        duration().prop_map(Durability::BoundedLoss)
    ];
    (
        duration(),
        duration(),
        durability,
        any::<bool>(),
        prop::option::of(duration()),
    )
        .prop_map(
            |(clock_error, guard_time, durability, continues, heartbeat)| {
                Told::Started(Start {
                    clock_error,
                    guard_time,
                    durability,
                    continues,
                    heartbeat,
                })
            },
        )
}

fn limit() -> impl Strategy<Value = Limit> {
    prop_oneof![
        Just(Limit::Blocks),
        Just(Limit::Rate),
        Just(Limit::State),
        transport().prop_map(Limit::Ports),
    ]
}

fn told() -> impl Strategy<Value = Told> {
    let number = || prop::option::of(any::<u32>());
    prop_oneof![
        6 => holding(),
        1 => (phase(), subscriber(), 1_u32..).prop_map(|(phase, subscriber, external)| {
            Told::Address { phase, subscriber, external: external.into() }
        }),
        1 => (number(), number(), number()).prop_map(|(pool, blocks, resting)| {
            Told::PoolExhausted { pool, blocks, resting }
        }),
        1 => (prop::bool::ANY, number(), number(), number()).prop_map(|(high, pool, in_use, blocks)| {
            let level = if high { Level::High } else { Level::Low };
            Told::PoolThreshold { level, pool, in_use, blocks }
        }),
        1 => (prop::option::of(subscriber()), limit()).prop_map(|(subscriber, limit)| {
            Told::LimitReached { subscriber, limit }
        }),
        1 => start(),
        1 => Just(Told::Stopped),
        1 => Just(Told::Heartbeat),
        1 => (any::<i64>(), prop::option::of(any::<u64>())).prop_map(|(since, events)| Told::Lost {
            since: Timestamp::from_micros(since),
            events,
        }),
    ]
}

/// After every `since` above.
fn event() -> impl Strategy<Value = NatEvent> {
    (500_000_000_000_001_i64..4_000_000_000_000_000, told()).prop_map(|(micros, told)| NatEvent {
        at: EventTime::Told(Timestamp::from_micros(micros)),
        told,
    })
}

/// The event with its times cut to milliseconds, as RFC 8158 tells them.
fn cut(event: &NatEvent) -> NatEvent {
    let cut = |at: Timestamp| Timestamp::from_millis(at.as_millis());
    let mut event = event.clone();
    event.at = EventTime::Told(cut(event.at.timestamp()));
    if let Told::Ports(holding) = &mut event.told {
        holding.since = holding
            .since
            .map(|since| cut(since).max(Timestamp::from_millis(1)));
    }
    event
}

/// What [`cut`] makes of times must be times that can be told.
fn tellable(events: Vec<NatEvent>) -> Vec<NatEvent> {
    let at_least = |at: Timestamp| at.max(Timestamp::from_millis(1));
    events
        .into_iter()
        .map(|mut event| {
            if let Told::Ports(holding) = &mut event.told {
                holding.since = holding.since.map(at_least);
            }
            event
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_event_survives_to_the_millisecond(
        events in prop::collection::vec(event(), 1..40),
        is_v9: bool,
    ) {
        let version = if is_v9 { Version::NetFlow9 } else { Version::Ipfix };
        let events = tellable(events);
        let back = import(&export(settings(version, Precision::Milliseconds), &events));
        let expected: Vec<_> = events.iter().map(cut).collect();
        prop_assert_eq!(back, expected);
    }

    #[test]
    fn every_event_survives_to_the_microsecond(
        events in prop::collection::vec(event(), 1..40),
        is_v9: bool,
    ) {
        let version = if is_v9 { Version::NetFlow9 } else { Version::Ipfix };
        let back = import(&export(settings(version, Precision::Microseconds), &events));
        prop_assert_eq!(back, events);
    }
}

fn block(phase: Phase, since: Option<Timestamp>) -> NatEvent {
    NatEvent {
        at: EventTime::Told(NOW),
        told: Told::Ports(Holding {
            phase,
            kind: Kind::Block,
            subscriber: None,
            external: [203, 0, 113, 7].into(),
            ports: PortRange::new(1_024, 1_535).unwrap(),
            transport: None,
            since,
        }),
    }
}

#[test]
fn an_interim_record_of_the_very_moment_is_read_as_the_beginning() {
    let messages = export(
        settings(Version::Ipfix, Precision::Milliseconds),
        &[block(Phase::Held, Some(NOW))],
    );
    assert_eq!(import(&messages), [block(Phase::Begun, None)]);
}

#[test]
fn what_cannot_be_is_refused_and_the_rest_goes_on() {
    let later = NOW.after(Duration::from_secs(1));
    let bad = block(Phase::Ended, Some(later));
    let mut exporter = Exporter::new(ExportSettings::default());
    let mut message = Vec::new();
    let events = [block(Phase::Begun, None), bad.clone()];
    assert_eq!(exporter.message(NOW, &events, &mut message), Ok(1));
    let refused = exporter.message(NOW, &[bad], &mut message);
    let expected = ExportError::Since {
        at: NOW,
        since: later,
    };
    assert_eq!(refused, Err(expected));
    assert!(message.is_empty());
    let mut timeless = block(Phase::Begun, None);
    timeless.at = EventTime::Message(NOW);
    let refused = exporter.message(NOW, &[timeless], &mut message);
    assert_eq!(refused, Err(ExportError::NoTime));
}

#[test]
fn templates_are_repeated_by_the_callers_clock() {
    let mut exporter = Exporter::new(ExportSettings::default());
    let mut lengths = Vec::new();
    for seconds in [0, 1, 59, 60, 61] {
        let mut message = Vec::new();
        let now = NOW.after(Duration::from_secs(seconds));
        exporter
            .message(now, &[block(Phase::Begun, None)], &mut message)
            .unwrap();
        lengths.push(message.len());
    }
    let (with, without) = (lengths[0], lengths[1]);
    assert!(with > without);
    assert_eq!(lengths, [with, without, without, with, without]);
}

#[test]
fn over_a_new_connection_templates_and_numbers_begin_anew() {
    let settings = ExportSettings {
        refresh: None,
        domain: 7,
        ..ExportSettings::default()
    };
    let mut exporter = Exporter::new(settings);
    let send = |exporter: &mut Exporter| {
        let mut message = Vec::new();
        exporter
            .message(NOW, &[block(Phase::Begun, None)], &mut message)
            .unwrap();
        message
    };
    let first = send(&mut exporter);
    assert_ne!(send(&mut exporter), first);
    exporter.restart();
    assert_eq!(send(&mut exporter), first);
}

#[test]
fn a_full_datagram_holds_about_forty_blocks() {
    let events = vec![block(Phase::Begun, None); 200];
    let messages = export(settings(Version::Ipfix, Precision::Milliseconds), &events);
    assert!(messages.len() <= 5, "{}", messages.len());
    assert!(messages.iter().all(|message| message.len() <= 1_400));
}
