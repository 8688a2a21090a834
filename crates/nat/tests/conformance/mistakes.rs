//! Mistakes that other NATs have made, tried on this one.

use std::collections::{HashMap, HashSet};

use portledger_model::{Event, Transport::Udp};
use portledger_nat::{DropReason, Limits, Side, Verdict};
use portledger_ports::Pool;

use crate::support::{
    lab::Lab,
    packet::{ACK, End, SYN, host, remote, tcp, udp},
};

fn narrow(config: &mut portledger_nat::Config) {
    config.ports.pool = Pool::parse(&["203.0.113.1"]).unwrap();
    config.ports.port_range = portledger_model::PortRange::new(1_024, 1_279).unwrap();
    config.ports.block_size = 64;
}

/// The next block computed from the count of live subscribers: A, B, C, then A goes and D comes,
/// and D gets C's. The laboratory refuses any block that has a holder.
#[test]
pub fn a_newcomer_never_gets_a_live_block() {
    let mut lab = Lab::with(narrow);
    let open = |lab: &mut Lab, number: u8| lab.open_udp(host(number, 1), remote(1, 53));
    open(&mut lab, 1);
    lab.wait(250);
    let (two, three) = (open(&mut lab, 2), open(&mut lab, 3));
    lab.wait(200);
    assert_eq!(
        lab.count_events(|event| matches!(event, Event::Released { .. })),
        1
    );
    open(&mut lab, 2);
    open(&mut lab, 3);
    let four = open(&mut lab, 4);
    assert!(four.1 / 64 != two.1 / 64 && four.1 / 64 != three.1 / 64);
}

/// A collision check that looks an external port up among internal ones. Internal ports that are
/// in use as external ones, and the other way round.
#[test]
pub fn internal_and_external_ports_are_not_mixed_up() {
    let mut lab = Lab::with(|config| {
        narrow(config);
        config.ports.limits.blocks = 4;
    });
    let mut seen: HashMap<End, u16> = HashMap::new();
    for port in 1_024..1_280 {
        let external = lab.open_udp(host(1, port), remote(1, 53));
        assert_eq!(seen.insert(external, port), None);
    }
    for (external, port) in seen {
        assert_eq!(
            lab.reaches(remote(1, 53), external, Udp)
                .unwrap()
                .destination,
            host(1, port)
        );
    }
}

/// Sessions in maps that forget the least recently used: live mappings vanish under pressure.
#[test]
pub fn pressure_evicts_nothing() {
    let mut lab = Lab::with(|config| {
        config.limits = Limits {
            mappings: 100,
            sessions: 50,
            ..Limits::default()
        };
    });
    let kept: Vec<End> = (1..=100)
        .map(|port| lab.open_udp(host(1, port), remote(1, 53)))
        .collect();
    for port in 101..10_000 {
        let packet = udp(host(2, port), remote(1, 53)).bytes();
        assert_eq!(lab.dropped(Side::Inside, &packet), DropReason::MappingLimit);
    }
    for (port, &external) in (1..).zip(&kept) {
        assert_eq!(
            lab.reaches(remote(1, 53), external, Udp)
                .unwrap()
                .destination,
            host(1, port)
        );
    }
}

/// The next block is the last one and one more, the next port likewise.
#[test]
pub fn neither_block_nor_port_is_the_last_one_plus_one() {
    let mut lab = Lab::new();
    let firsts: Vec<u16> = (1..=100)
        .map(|number| lab.open_udp(host(number, 1), remote(1, 53)).1)
        .collect();
    let steps: HashSet<u16> = firsts
        .windows(2)
        .map(|two| two[1].wrapping_sub(two[0]))
        .collect();
    assert!(steps.len() > 90, "{} different steps of 99", steps.len());
}

/// Expiry computed by unsigned subtraction: a clock that stands still or goes back ends all.
#[test]
pub fn a_clock_that_stands_or_goes_back_ends_nothing() {
    let mut lab = Lab::new();
    lab.wait(10);
    let external = lab.open_udp(host(1, 1), remote(1, 53));
    let there = lab.now;
    for back in [0, 1, 9, 1_000_000] {
        lab.now = there.before(std::time::Duration::from_secs(back));
        lab.pass(Side::Outside, &udp(remote(1, 53), external).bytes());
        // Events bear the later time; the laboratory's own clock has to follow.
        let mut packets = udp(host(2, 1), remote(1, 53)).bytes();
        let mut output = portledger_nat::Output::default();
        let mut batch = [portledger_nat::Packet::new(&mut packets)];
        lab.nat
            .batch(lab.now, Side::Inside, &mut batch, &mut output);
        assert!(matches!(batch[0].verdict, Verdict::Forward { .. }));
        assert!(output.events.iter().all(|told| told.at == there));
    }
    lab.now = there;
    lab.wait(299);
    assert!(lab.reaches(remote(1, 53), external, Udp).is_some());
}

/// A clock that jumps far ahead: everything ends, in its own second, and quickly.
#[test]
pub fn a_clock_that_jumps_ends_everything_in_its_own_second() {
    let mut lab = Lab::new();
    let began = lab.now;
    lab.open_udp(host(1, 1), remote(1, 53));
    lab.connect(host(2, 1), remote(1, 80));
    let years = 20 * 365 * 86_400;
    let started = std::time::Instant::now();
    lab.wait(years);
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    assert_eq!(lab.nat.size().mappings, 0);
    let ends: Vec<u64> = lab.told[2..]
        .iter()
        .map(|told| told.at.since(began).as_secs())
        .collect();
    assert_eq!(ends, [301 + 120, 7_441 + 120]);
    lab.open_udp(host(1, 1), remote(1, 53));
    // Beyond what seconds in 32 bits can count.
    lab.wait(200 * 365 * 86_400);
    lab.wait(1);
    let external = lab.open_udp(host(1, 2), remote(1, 53));
    assert!(lab.reaches(remote(1, 53), external, Udp).is_some());
}

/// One worker's subscribers run out while others' ports are free: within one shard any subscriber
/// can have any block.
#[test]
pub fn the_last_block_is_for_whoever_asks() {
    let mut lab = Lab::with(|config| {
        narrow(config);
        config.ports.limits.blocks = 4;
    });
    for port in 1..=256 {
        lab.open_udp(host(1, port), remote(1, 53));
    }
    assert_eq!(lab.nat.size().usage.rested, 0);
}

/// Quota and exhaustion told once a packet.
#[test]
pub fn refusals_are_no_log_storm() {
    let mut lab = Lab::with(narrow);
    for _ in 0..10 {
        for number in 1..=100 {
            for port in 1..=130 {
                lab.pass(
                    Side::Inside,
                    &udp(host(number, port), remote(1, 53)).bytes(),
                );
            }
        }
    }
    // Four blocks, the thresholds, one exhaustion, and each holder's limit at most.
    assert!(lab.told.len() <= 4 + 1 + 1 + 2, "{:?}", lab.told.len());
}

/// Only TCP logged: a block's record covers whatever it carries.
#[test]
pub fn every_transport_is_in_the_log() {
    let mut lab = Lab::new();
    lab.open_echo(host(1, 1), remote(1, 0));
    lab.open_udp(host(2, 1), remote(1, 53));
    lab.out(&tcp(host(3, 1), remote(1, 80), ACK).bytes());
    assert_eq!(lab.told.len(), 3);
    assert!(
        lab.events()
            .all(|event| matches!(event, Event::Allocated(block) if block.transport.is_none()))
    );
}

/// Whoever sends SYNs from the outside may fill half of a mapping's sessions, never all.
#[test]
pub fn syns_from_the_outside_leave_room_for_the_inside() {
    let mut lab = Lab::with(|config| config.limits.sessions_per_mapping = 8);
    let external = lab.connect(host(1, 4_000), remote(1, 80));
    for number in 2..=5 {
        lab.inward(&tcp(remote(number, 80), external, SYN).bytes());
    }
    let one_more = tcp(remote(6, 80), external, SYN).bytes();
    assert_eq!(
        lab.dropped(Side::Outside, &one_more),
        DropReason::SessionLimit
    );
    for number in 7..=10 {
        lab.out(&tcp(host(1, 4_000), remote(number, 80), SYN).bytes());
    }
}
