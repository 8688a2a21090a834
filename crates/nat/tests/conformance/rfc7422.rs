//! RFC 7422: deterministic address mapping.

use std::net::Ipv4Addr;

use portledger_model::{Event, PortRange, Transport::Udp};
use portledger_nat::{Config, DropReason, Past, Side};
use portledger_ports::{DeterministicConfig, Pool, Restored};

use crate::support::{
    lab::Lab,
    packet::{End, remote, udp},
};

/// The RFC's own example, with the documentation's addresses: 16 subscribers on one address, with
/// a dynamic pool of two shares.
fn example(config: &mut Config) {
    config.ports.pool = Pool::parse(&["203.0.113.1"]).unwrap();
    config.ports.deterministic = Some(DeterministicConfig {
        inside: "100.64.0.0/28".parse().unwrap(),
        compression: 16,
        dynamic: 2,
    });
}

fn host(number: u8, port: u16) -> End {
    (Ipv4Addr::new(100, 64, 0, number), port)
}

fn ranges(lab: &Lab) -> Vec<PortRange> {
    lab.events()
        .filter_map(|event| match event {
            Event::Allocated(block) => Some(block.ports),
            _ => None,
        })
        .collect()
}

#[test]
pub fn section_2_2_the_example() {
    let mut lab = Lab::with(example);
    for (number, first, last) in [(0, 1_024, 4_607), (1, 4_608, 8_191), (15, 54_784, 58_367)] {
        let external = lab.open_udp(host(number, 9), remote(1, 53));
        assert_eq!(external.0, Ipv4Addr::new(203, 0, 113, 1));
        assert!((first..=last).contains(&external.1));
        assert_eq!(ranges(&lab).pop(), PortRange::new(first, last).ok());
    }
}

#[test]
pub fn section_2_a_range_is_logged_once_and_for_good() {
    let mut lab = Lab::with(example);
    for round in 0..5 {
        for port in 1..100 {
            lab.open_udp(host(3, port), remote(1, 53));
        }
        lab.wait(100_000);
        assert_eq!(lab.told.len(), 1, "round {round}");
    }
}

#[test]
pub fn section_2_further_ports_come_from_the_dynamic_pool() {
    let mut lab = Lab::with(example);
    for port in 1..=3_584 {
        assert!(lab.open_udp(host(3, port), remote(1, 53)).1 < 58_368);
    }
    for port in 3_585..=3_900 {
        let external = lab.open_udp(host(3, port), remote(1, 53));
        assert!(external.1 >= 58_368);
        assert!(lab.reaches(remote(1, 53), external, Udp).is_some());
    }
    assert_eq!(lab.told.len(), 1 + 2, "two blocks of 256, logged");
    lab.wait(1_000);
    assert_eq!(
        lab.count_events(|event| matches!(event, Event::Released { .. })),
        2
    );
}

#[test]
pub fn section_2_who_is_not_in_the_rule_is_not_translated() {
    let mut lab = Lab::with(example);
    let outside_of_it = udp(host(16, 1), remote(1, 53)).bytes();
    assert_eq!(
        lab.dropped(Side::Inside, &outside_of_it),
        DropReason::NotASubscriber
    );
    assert_eq!(lab.told, []);
}

#[test]
pub fn section_2_a_restart_changes_nothing() {
    let mut before = Lab::with(example);
    before.open_udp(host(3, 1), remote(1, 53));
    let held: Vec<_> = before
        .nat
        .held_blocks()
        .into_iter()
        .map(|(block, since)| Restored { block, since })
        .collect();
    let mut lab = Lab::after(
        Past {
            held,
            ..Past::default()
        },
        example,
    );
    let external = lab.open_udp(host(3, 1), remote(1, 53));
    assert!((11_776..=15_359).contains(&external.1));
    assert_eq!(lab.told, [], "known from the ledger");
}

/// The rule changed: a range that was one subscriber's is another's now. The old holder must be
/// told of as gone before the new one is told of.
#[test]
pub fn section_4_a_changed_rule_closes_what_it_no_longer_gives() {
    let mut before = Lab::with(example);
    before.open_udp(host(3, 1), remote(1, 53));
    let held: Vec<_> = before
        .nat
        .held_blocks()
        .into_iter()
        .map(|(block, since)| Restored { block, since })
        .collect();
    let mut lab = Lab::after(
        Past {
            held,
            ..Past::default()
        },
        |config| {
            example(config);
            config.ports.deterministic.as_mut().unwrap().inside = "100.64.0.2/31".parse().unwrap();
        },
    );
    assert!(matches!(
        lab.told[..],
        [portledger_nat::Told {
            event: Event::Released { .. },
            ..
        }]
    ));
    lab.open_udp(host(2, 1), remote(1, 53));
    lab.open_udp(host(3, 1), remote(1, 53));
    assert_eq!(
        ranges(&lab),
        [
            PortRange::new(1_024, 4_607).unwrap(),
            PortRange::new(4_608, 8_191).unwrap()
        ]
    );
}
