use std::{collections::HashMap, time::Duration};

use super::*;
use crate::{Limits, Pool, Pooling, RealmIndex, StaticMapping};
use portledger_model::{Level, PortRange};
use proptest::prelude::*;

fn config() -> Config {
    Config {
        port_range: PortRange::new(1_024, 1_535).unwrap(),
        block_size: 64,
        ..Config::new(Pool::parse(&["203.0.113.0/31"]).unwrap())
    }
}

fn ports(config: Config) -> Ports {
    Ports::new(config, [1; 32]).unwrap()
}

fn host(number: u8) -> Inside {
    Inside {
        realm: RealmIndex(0),
        address: Ipv4Addr::new(100, 64, 0, number).into(),
    }
}

fn secs(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn open(ports: &mut Ports, now: i64, number: u8) -> Result<Opened, Refusal> {
    ports.open(
        secs(now),
        host(number),
        Transport::Udp,
        40_000,
        Handle(u32::from(number)),
    )
}

fn events(ports: &mut Ports) -> Vec<Event> {
    ports.drain_events().map(|told| told.event).collect()
}

#[test]
fn one_block_on_the_first_packet_and_more_on_demand() {
    let mut ports = ports(config());
    for _ in 0..64 {
        open(&mut ports, 0, 1).unwrap();
    }
    assert_eq!(events(&mut ports).len(), 1);
    open(&mut ports, 0, 1).unwrap();
    assert!(matches!(events(&mut ports)[..], [Event::Allocated(_)]));
}

#[test]
fn one_block_serves_every_transport() {
    let mut ports = ports(config());
    for transport in Transport::ALL {
        for n in 0..64 {
            let handle = Handle(n * 4 + u32::try_from(transport.index()).unwrap());
            ports.open(secs(0), host(1), transport, 1, handle).unwrap();
        }
    }
    assert_eq!(events(&mut ports).len(), 1);
    assert_eq!(ports.usage(secs(0)).held, 1);
}

#[test]
fn an_idle_block_is_released_then_rests_then_may_go_to_another() {
    let mut ports = ports(Config {
        port_range: PortRange::new(1_024, 1_087).unwrap(),
        pool: Pool::parse(&["203.0.113.7"]).unwrap(),
        ..config()
    });
    let opened = open(&mut ports, 0, 1).unwrap();
    assert!(ports.close(secs(50), opened.block, Transport::Udp, opened.port));
    ports.advance(secs(169));
    let is_release =
        |event: &Event| matches!(event, Event::Released { since, .. } if *since == secs(0));
    assert!(
        !events(&mut ports).iter().any(is_release),
        "idle for 119 s of 120"
    );
    ports.advance(secs(170));
    assert!(events(&mut ports).iter().any(is_release));
    assert_eq!(
        open(&mut ports, 289, 2),
        Err(Refusal::PoolExhausted),
        "rested 119 s of 120"
    );
    assert!(open(&mut ports, 290, 2).is_ok());
}

#[test]
fn a_block_used_again_in_time_stays() {
    let mut ports = ports(config());
    let opened = open(&mut ports, 0, 1).unwrap();
    ports.close(secs(10), opened.block, Transport::Udp, opened.port);
    let again = open(&mut ports, 100, 1).unwrap();
    ports.close(secs(110), again.block, Transport::Udp, again.port);
    ports.advance(secs(229));
    assert_eq!(ports.usage(secs(229)).held, 1);
    ports.advance(secs(230));
    assert_eq!(ports.usage(secs(230)).held, 0);
    assert_eq!(ports.usage(secs(230)).subscribers, 0);
}

/// RFC 7768 §2: the block idle for longest is left out unless no other has a free port.
#[test]
fn the_longest_idle_block_is_left_out() {
    let mut ports = ports(config());
    let first: Vec<_> = (0..64).map(|_| open(&mut ports, 0, 1).unwrap()).collect();
    let second: Vec<_> = (0..64).map(|_| open(&mut ports, 1, 1).unwrap()).collect();
    for opened in first.iter().take(32).chain(second.iter().take(32)) {
        ports.close(secs(2), opened.block, Transport::Udp, opened.port);
    }
    ports.touch(secs(5), second[0].block);
    ports.touch(secs(4), first[0].block);
    for _ in 0..32 {
        assert_eq!(open(&mut ports, 6, 1).unwrap().block, second[0].block);
    }
    assert_eq!(open(&mut ports, 6, 1).unwrap().block, first[0].block);
}

#[test]
fn a_limit_is_said_once_until_it_eases() {
    let limits = Limits {
        blocks: 1,
        ports: [None, Some(16), None],
        rate: None,
    };
    let mut ports = ports(Config { limits, ..config() });
    let opened: Vec<_> = (0..16).map(|_| open(&mut ports, 0, 1).unwrap()).collect();
    for _ in 0..1_000 {
        assert_eq!(
            open(&mut ports, 0, 1),
            Err(Refusal::Limit(Limit::Ports(Transport::Udp)))
        );
    }
    assert_eq!(events(&mut ports).len(), 2, "the block and the limit");
    for port in &opened[..2] {
        ports.close(secs(1), port.block, Transport::Udp, port.port);
    }
    for _ in 0..2 {
        open(&mut ports, 1, 1).unwrap();
    }
    open(&mut ports, 1, 1).unwrap_err();
    assert_eq!(
        events(&mut ports).len(),
        1,
        "eased at 14 of 16, reached again"
    );
}

#[test]
fn the_rate_of_new_mappings_is_limited() {
    let limits = Limits {
        rate: Some(10),
        ..Limits::default()
    };
    let mut ports = ports(Config { limits, ..config() });
    let opened = |ports: &mut Ports, ms: i64| {
        (0..40)
            .filter(|_| {
                let now = Timestamp::from_millis(ms);
                ports
                    .open(now, host(1), Transport::Tcp, 1, Handle(1))
                    .is_ok()
            })
            .count()
    };
    assert_eq!(opened(&mut ports, 1_000), 10);
    assert_eq!(opened(&mut ports, 1_500), 5);
    assert_eq!(opened(&mut ports, 1_550), 0);
    assert_eq!(opened(&mut ports, 1_600), 1);
    assert_eq!(opened(&mut ports, 100_000), 10);
}

#[test]
fn exhaustion_and_thresholds_are_said_once() {
    let mut ports = ports(config());
    for number in 0..200 {
        let _ = open(&mut ports, 0, number);
    }
    let said =
        |events: &[Event], wanted: fn(&Event) -> bool| events.iter().filter(|e| wanted(e)).count();
    let told = events(&mut ports);
    assert_eq!(said(&told, |e| matches!(e, Event::Allocated(_))), 16);
    assert_eq!(
        said(&told, |e| matches!(
            e,
            Event::PoolExhausted {
                blocks: 16,
                resting: 0
            }
        )),
        1
    );
    assert_eq!(
        said(&told, |e| matches!(
            e,
            Event::PoolThreshold {
                level: Level::High,
                ..
            }
        )),
        1
    );
    assert_eq!(told.len(), 18);
}

#[test]
fn realms_with_the_same_addresses_do_not_meet() {
    let realms = vec![Realm::default(), Realm::new("west").unwrap()];
    let mut ports = ports(Config { realms, ..config() });
    let west = Inside {
        realm: RealmIndex(1),
        ..host(1)
    };
    let one = open(&mut ports, 0, 1).unwrap();
    let two = ports
        .open(secs(0), west, Transport::Udp, 40_000, Handle(2))
        .unwrap();
    assert_ne!(one.block, two.block);
    let told = events(&mut ports);
    assert!(
        matches!(&told[1], Event::Allocated(block) if block.subscriber.realm().as_str() == "west")
    );
}

#[test]
fn static_ports_are_outside_the_dynamic_blocks() {
    let mapping = StaticMapping {
        realm: RealmIndex(0),
        internal: Ipv4Addr::new(100, 64, 0, 9).into(),
        behind: None,
        internal_port: 80,
        external: Ipv4Addr::new(203, 0, 113, 0),
        external_port: 1_100,
        transport: Transport::Tcp,
    };
    let mut ports = ports(Config {
        static_mappings: vec![mapping],
        ..config()
    });
    ports.open_static(secs(0), 0, Handle(77), false).unwrap();
    for number in 0..100 {
        if let Ok(opened) = open(&mut ports, 0, number) {
            let taken = opened.address == Ipv4Addr::new(203, 0, 113, 0)
                && (1_088..1_152).contains(&opened.port);
            assert!(!taken, "a dynamic port from the static mapping's block");
        }
    }
    assert_eq!(ports.usage(secs(0)).held, 15);
    assert_eq!(
        ports.find(Ipv4Addr::new(203, 0, 113, 0), 1_100, Transport::Tcp),
        Some(Handle(77))
    );
    assert_eq!(
        ports.find(Ipv4Addr::new(203, 0, 113, 0), 1_100, Transport::Udp),
        None
    );
    let told = events(&mut ports);
    assert!(
        matches!(&told[0], Event::Allocated(b) if b.ports == PortRange::single(1_100) && b.transport == Some(Transport::Tcp))
    );
}

#[test]
fn after_a_restart_what_was_held_is_held_and_what_rested_rests() {
    let mut before = ports(config());
    for number in 0..4 {
        open(&mut before, 0, number).unwrap();
    }
    let told = events(&mut before);
    let block = |n: usize| match &told[n] {
        Event::Allocated(block) => block.clone(),
        other => panic!("{other:?}"),
    };
    let mut after = ports(config());
    after.restore(
        secs(100),
        [Restored {
            block: block(0),
            since: secs(0),
        }],
    );
    after.restore_resting(secs(90), &block(1));
    assert_eq!(events(&mut after), []);
    let mut drawn = Vec::new();
    for number in 10..30 {
        if let Ok(opened) = open(&mut after, 101, number) {
            drawn.push((opened.address, opened.port));
        }
    }
    assert_eq!(drawn.len(), 14);
    for taken in [block(0), block(1)] {
        assert!(
            !drawn
                .iter()
                .any(|&(a, p)| a == taken.external && taken.ports.contains(p))
        );
    }
    // Its own holder goes on with the same block, and the rested one is free after its rest.
    let own = open(&mut after, 101, 0).unwrap();
    assert!(block(0).ports.contains(own.port) && own.event == EventNumber(0));
    let late = open(&mut after, 210, 40).unwrap();
    assert!(block(1).ports.contains(late.port));
}

#[test]
fn a_changed_block_size_closes_what_no_longer_fits_and_rests_its_ports() {
    let mut before = ports(config());
    open(&mut before, 0, 1).unwrap();
    let Some(Event::Allocated(block)) = events(&mut before).pop() else {
        panic!("no event")
    };
    let mut after = ports(Config {
        block_size: 128,
        ..config()
    });
    after.restore(
        secs(100),
        [Restored {
            block: block.clone(),
            since: secs(0),
        }],
    );
    assert_eq!(
        events(&mut after),
        [Event::Released {
            block: block.clone(),
            since: secs(0)
        }]
    );
    for number in 0..20 {
        if let Ok(opened) = open(&mut after, 219, number) {
            assert!(opened.address != block.external || !block.ports.contains(opened.port));
        }
    }
    assert_eq!(
        after.usage(secs(219)),
        Usage {
            subscribers: 7,
            held: 7,
            resting: 1,
            rested: 0
        }
    );
}

#[test]
fn strict_pairing_refuses_when_the_address_is_full() {
    let limits = Limits {
        blocks: 64,
        ..Limits::default()
    };
    let mut ports = ports(Config {
        pooling: Pooling::PairedStrict,
        limits,
        ..config()
    });
    for _ in 0..512 {
        open(&mut ports, 0, 1).unwrap();
    }
    assert_eq!(open(&mut ports, 0, 1), Err(Refusal::AddressFull));
}

#[derive(Debug, Clone)]
enum Step {
    Open(u8),
    Close(usize),
    Wait(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u8..6).prop_map(Step::Open),
        3 => any::<prop::sample::Index>().prop_map(|i| Step::Close(i.index(1 << 16))),
        2 => (0_u16..150).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A narrow pool, so that blocks change hands all the time. Whatever happens:
    /// - an open port belongs to one subscriber, and is found with its own handle;
    /// - every open port lies in a block that the events say its subscriber holds;
    /// - no block changes hands inside the guard time;
    /// - no subscriber holds more blocks than it may.
    #[test]
    fn ports_and_events_agree(steps in steps(), seed in any::<[u8; 32]>()) {
        let config = Config {
            pool: Pool::parse(&["203.0.113.7"]).unwrap(),
            limits: Limits { blocks: 2, ..Limits::default() },
            port_range: PortRange::new(1_024, 1_279).unwrap(),
            block_idle: Duration::from_secs(30),
            ..config()
        };
        let mut ports = Ports::new(config, seed).unwrap();
        let (mut now, mut next) = (1_000_i64, 0_u32);
        let mut open: Vec<(u8, Opened, Handle)> = Vec::new();
        let mut holds: HashMap<u16, (Subscriber, i64)> = HashMap::new();
        let mut released: HashMap<u16, (Subscriber, i64)> = HashMap::new();
        for step in steps {
            match step {
                Step::Open(number) => {
                    next += 1;
                    if let Ok(opened) = ports.open(secs(now), host(number), Transport::Udp, 1, Handle(next)) {
                        prop_assert!(!open.iter().any(|(_, other, _)| other.port == opened.port));
                        open.push((number, opened, Handle(next)));
                    }
                }
                Step::Close(pick) if !open.is_empty() => {
                    let (_, opened, _) = open.swap_remove(pick % open.len());
                    prop_assert!(ports.close(secs(now), opened.block, Transport::Udp, opened.port));
                    prop_assert_eq!(ports.find(opened.address, opened.port, Transport::Udp), None);
                }
                Step::Close(_) => {}
                Step::Wait(wait) => {
                    now += i64::from(wait);
                    ports.advance(secs(now));
                }
            }
            for told in ports.drain_events() {
                match told.event {
                    Event::Allocated(block) => {
                        if let Some((who, at)) = released.remove(&block.ports.first()) {
                            prop_assert!(now - at >= 120, "{who:?}'s block rested {} s", now - at);
                        }
                        let earlier = holds.insert(block.ports.first(), (block.subscriber, now));
                        prop_assert!(earlier.is_none());
                    }
                    Event::Released { block, since } => {
                        let (who, at) = holds.remove(&block.ports.first()).unwrap();
                        prop_assert_eq!((&who, secs(at)), (&block.subscriber, since));
                        released.insert(block.ports.first(), (who, now));
                    }
                    _ => {}
                }
            }
            for (number, opened, handle) in &open {
                prop_assert_eq!(ports.find(opened.address, opened.port, Transport::Udp), Some(*handle));
                let (who, _) = &holds[&(opened.port & !63)];
                prop_assert_eq!(who.internal(), host(*number).address.into());
            }
            for number in 0..6 {
                let held = holds.values().filter(|(who, _)| who.internal() == host(number).address.into()).count();
                prop_assert!(held <= 2);
            }
        }
        let told: Vec<_> = ports.held_blocks().map(|(block, since)| (block.ports.first(), since)).collect();
        prop_assert_eq!(told.len(), holds.len());
        for (first, since) in told {
            prop_assert_eq!(secs(holds[&first].1), since);
        }
    }
}
