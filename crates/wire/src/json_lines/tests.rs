//! Every event there is, through JSON and back.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use portledger_model::{
    DeterministicRule, Durability, HeldPortSet, Internal, Ipv6Prefix, Level, Limit, MapRule,
    PortMask, PortParameters, PortRange, PortSet, Realm, Rule, RuleName, Sharing, SoftwireBinding,
    Start, Subscriber, Timestamp, Transport,
};
use proptest::{option, prelude::*};

use super::*;
use crate::event::{EventTime, Holding, Kind, Phase, Told};

fn timestamp() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        9 => (0_i64..4_102_444_800_000_000).prop_map(Timestamp::from_micros),
        1 => any::<i64>().prop_map(Timestamp::from_micros),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0_u32..1_000_000_000).prop_map(|(s, ns)| Duration::new(s, ns))
}

fn transport() -> impl Strategy<Value = Transport> {
    prop::sample::select(Transport::ALL.to_vec())
}

fn phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(vec![Phase::Begun, Phase::Held, Phase::Ended])
}

fn internal() -> impl Strategy<Value = Internal> {
    let prefix = (any::<Ipv6Addr>(), 0..=128_u8)
        .prop_map(|(address, length)| Ipv6Prefix::around(address, length).unwrap());
    prop_oneof![
        any::<IpAddr>().prop_map(Internal::from),
        prefix.clone().prop_map(Internal::Prefix),
        prefix.prop_map(Internal::Softwire),
    ]
}

fn subscriber() -> impl Strategy<Value = Subscriber> {
    ("[a-zA-Z0-9._-]{1,64}", internal())
        .prop_map(|(realm, internal)| Subscriber::of(Realm::new(&realm).unwrap(), internal))
}

fn kind() -> impl Strategy<Value = Kind> {
    let port = || option::of(any::<u16>());
    let destination = (any::<IpAddr>(), any::<u16>()).prop_map(|(a, p)| SocketAddr::new(a, p));
    prop_oneof![
        Just(Kind::Block),
        port().prop_map(|internal_port| Kind::Mapping { internal_port }),
        (port(), option::of(destination)).prop_map(|(internal_port, destination)| {
            Kind::Session {
                internal_port,
                destination,
            }
        }),
    ]
}

fn holding() -> impl Strategy<Value = Holding> {
    (
        phase(),
        kind(),
        option::of(subscriber()),
        any::<Ipv4Addr>(),
        (any::<u16>(), any::<u16>()),
        option::of(transport()),
        option::of(timestamp()),
    )
        .prop_map(
            |(phase, kind, subscriber, external, (a, b), transport, since)| Holding {
                phase,
                kind,
                subscriber,
                external,
                ports: PortRange::new(a.min(b), a.max(b)).unwrap(),
                transport,
                since,
            },
        )
}

fn start() -> impl Strategy<Value = Start> {
    (
        duration(),
        duration(),
        option::of(duration()),
        any::<bool>(),
        option::of(duration()),
    )
        .prop_map(
            |(clock_error, guard_time, loss, continues, heartbeat)| Start {
                clock_error,
                guard_time,
                durability: loss.map_or(Durability::LogBeforeUse, Durability::BoundedLoss),
                continues,
                heartbeat,
            },
        )
}

fn told() -> impl Strategy<Value = Told> {
    let number = || option::of(any::<u32>());
    let limit = prop_oneof![
        Just(Limit::Blocks),
        Just(Limit::Rate),
        Just(Limit::State),
        transport().prop_map(Limit::Ports),
    ];
    prop_oneof![
        4 => holding().prop_map(Told::Ports),
        1 => (phase(), subscriber(), any::<Ipv4Addr>()).prop_map(|(phase, subscriber, external)| {
            Told::Address { phase, subscriber, external }
        }),
        1 => (number(), number(), number()).prop_map(|(pool, blocks, resting)| {
            Told::PoolExhausted { pool, blocks, resting }
        }),
        1 => (option::of(subscriber()), limit).prop_map(|(subscriber, limit)| {
            Told::LimitReached { subscriber, limit }
        }),
        1 => (any::<bool>(), number(), number(), number()).prop_map(|(high, pool, in_use, blocks)| {
            let level = if high { Level::High } else { Level::Low };
            Told::PoolThreshold { level, pool, in_use, blocks }
        }),
        1 => start().prop_map(Told::Started),
        1 => Just(Told::Stopped),
        1 => Just(Told::Heartbeat),
        1 => (timestamp(), option::of(any::<u64>()))
            .prop_map(|(since, events)| Told::Lost { since, events }),
        1 => (rule(), option::of(timestamp())).prop_map(|(rule, since)| Told::Rule { rule, since }),
        1 => rule().prop_map(|rule| Told::RuleEnded(rule.name.clone())),
    ]
}

/// A rule of each kind.
fn rule() -> impl Strategy<Value = Arc<Rule>> {
    let ports = || {
        prop_oneof![
            any::<(u16, u16)>().prop_map(|(v, m)| PortSet::Mask(PortMask::new(v, m))),
            (0..256_u16).prop_map(|psid| PortSet::Psid(PortParameters::new(6, 8).unwrap(), psid)),
            any::<(u16, u16)>()
                .prop_map(|(a, b)| [a, b].map(PortRange::single).to_vec())
                .prop_map(PortSet::listed),
        ]
    };
    let map = MapRule::new(
        "2001:db8::/40".parse().unwrap(),
        "192.0.2.0/24".parse().unwrap(),
        16,
        6,
    );
    let deterministic = DeterministicRule::new(
        "100.64.0.0/28".parse().unwrap(),
        "192.0.2.1,192.0.2.4-192.0.2.9".parse().unwrap(),
        PortRange::new(1_024, 65_535).unwrap(),
        16,
        3_584,
    );
    let sharing = prop_oneof![
        Just(Sharing::Map(map.unwrap())),
        Just(Sharing::Deterministic(deterministic.unwrap())),
        (any::<Ipv6Addr>(), any::<Ipv4Addr>(), ports())
            .prop_map(|(b4, ipv4, ports)| Sharing::Softwire(SoftwireBinding { b4, ipv4, ports })),
        (subscriber(), any::<Ipv4Addr>(), ports()).prop_map(|(subscriber, external, ports)| {
            Sharing::PortSet(HeldPortSet {
                internal: subscriber.internal(),
                external,
                ports,
            })
        }),
    ];
    let names = ("[a-z0-9._-]{1,64}", "[a-zA-Z0-9._-]{1,64}");
    (names, sharing).prop_map(|((name, realm), sharing)| {
        Arc::new(Rule {
            name: RuleName::new(&name).unwrap(),
            realm: Realm::new(&realm).unwrap(),
            sharing,
        })
    })
}

/// Any event there is.
pub(crate) fn event() -> impl Strategy<Value = NatEvent> {
    (timestamp(), any::<bool>(), told()).prop_map(|(at, own, told)| NatEvent {
        at: if own {
            EventTime::Told(at)
        } else {
            EventTime::Message(at)
        },
        told,
    })
}

const LINE: &str = r#"{"at":"2026-11-01T12:00:00.000Z","at_of":"event","event":"ports","phase":"begun","kind":"block","realm":"default","internal":"100.64.3.9","external":"203.0.113.7","first":1024,"last":1535}"#;

#[test]
fn what_is_wrong_is_named_and_its_value_is_not_shown() {
    let error = |from: &str, to: &str| {
        read(LINE.replace(from, to).as_bytes())
            .unwrap_err()
            .to_string()
    };
    let errors = [
        error("}", ""),
        error("1024", "[1024]"),
        error("1024", "1024.5"),
        error("\"first\":1024,", ""),
        error("1535", "1023"),
        error("100.64.3.9", "100.64.3.999"),
        error("\"kind\"", "\"phase\""),
        error(
            "\"kind\":\"block\"",
            "\"kind\":\"block\",\"colour\":\"blue\"",
        ),
        error(
            "\"kind\":\"block\"",
            "\"kind\":\"block\",\"internal_port\":7",
        ),
        error("12:00:00.000Z", "12:00:00.000"),
    ];
    assert!(errors.iter().all(|error| !error.contains("100.64")));
    insta::assert_snapshot!(errors.join("\n"), @r"
    byte 187: not a JSON object whose values are texts, whole numbers, true or false
    byte 172: not a JSON object whose values are texts, whole numbers, true or false
    byte 177: not a JSON object whose values are texts, whole numbers, true or false
    'first' is missing
    'last' cannot be read
    'internal' cannot be read
    'phase' stands twice
    'colour' is not known here: is the event of a later version?
    'kind' cannot be read
    'at' cannot be read
    ");
}

proptest! {
    #[test]
    fn every_event_comes_back_from_json(event in event()) {
        let line = write(&event);
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(read(line.as_bytes()), Ok(event));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = read(&bytes);
    }

    #[test]
    fn no_cut_or_changed_line_panics(event in event(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut line = write(&event).into_bytes();
        let at = at.index(line.len());
        let _ = read(&line[..at]);
        line[at] = byte;
        let _ = read(&line);
    }
}
