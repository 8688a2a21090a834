//! RFC 6888: common requirements for carrier-grade NATs.

use std::{collections::HashSet, net::Ipv4Addr, time::Duration};

use portledger_model::{
    Event, Limit,
    Transport::{Icmp, Tcp, Udp},
};
use portledger_nat::{
    ConfigError, DropReason, IcmpRefusal, Limits, Nat, Output, Packet, Side, Verdict,
};
use portledger_ports::{Limits as PortLimits, Pool, Pooling};

use crate::support::{
    lab::{Lab, config},
    packet::{SYN, UNREACHABLE, echo, error, fragments, host, icmp_kind, read, remote, tcp, udp},
};

/// One address with sixteen blocks of 64 ports.
fn narrow(config: &mut portledger_nat::Config) {
    config.ports.pool = Pool::parse(&["203.0.113.1"]).unwrap();
    config.ports.port_range = portledger_model::PortRange::new(1_024, 2_047).unwrap();
    config.ports.block_size = 64;
    config.ports.limits.blocks = 2;
}

#[test]
pub fn req_1_every_transport_has_its_own_mappings() {
    let mut lab = Lab::new();
    let by_udp = lab.open_udp(host(1, 4_000), remote(1, 80));
    let by_tcp = lab.connect(host(1, 4_000), remote(1, 80));
    let by_icmp = lab.open_echo(host(1, 4_000), remote(1, 0));
    for (external, transport) in [(by_udp, Udp), (by_tcp, Tcp), (by_icmp, Icmp)] {
        let from = if transport == Icmp {
            remote(1, 0)
        } else {
            remote(1, 80)
        };
        let seen = lab.reaches(from, external, transport).unwrap();
        assert_eq!(seen.destination, host(1, 4_000));
    }
    let mut gre = udp(host(1, 1), remote(1, 1)).bytes();
    gre[9] = 47;
    crate::support::packet::renew_header_checksum(&mut gre);
    assert_eq!(lab.dropped(Side::Inside, &gre), DropReason::Protocol);
}

#[test]
pub fn req_2_pooling_is_paired_by_default_and_can_be_changed() {
    let addresses = |pooling: Pooling| {
        let mut lab = Lab::with(|config| {
            config.ports.pooling = pooling;
            config.ports.block_size = 64;
        });
        let all: HashSet<_> = (1..500)
            .map(|port| lab.open_udp(host(1, port), remote(1, 53)).0)
            .collect();
        all.len()
    };
    assert_eq!(config().ports.pooling, Pooling::Paired);
    assert_eq!(addresses(Pooling::Paired), 1);
    assert!(addresses(Pooling::Arbitrary) > 1);
    // When the address is full: another one, or none.
    for (pooling, more) in [(Pooling::Paired, true), (Pooling::PairedStrict, false)] {
        let mut lab = Lab::with(|config| {
            narrow(config);
            config.ports.pool = Pool::parse(&["203.0.113.0/31"]).unwrap();
            config.ports.limits.blocks = 64;
            config.ports.pooling = pooling;
        });
        for port in 1..=1_024 {
            lab.open_udp(host(1, port), remote(1, 53));
        }
        let next = lab.pass(Side::Inside, &udp(host(1, 1_025), remote(1, 53)).bytes());
        assert_eq!(matches!(next.verdict, Verdict::Forward { .. }), more);
    }
}

#[test]
pub fn req_3_the_pool_may_have_gaps() {
    let mut lab = Lab::with(|config| {
        config.ports.pool = Pool::parse(&[
            "203.0.113.9",
            "203.0.113.64/31",
            "203.0.113.200-203.0.113.201",
        ])
        .unwrap();
    });
    let mut seen = HashSet::new();
    for number in 1..100 {
        let external = lab.open_udp(host(number, 1), remote(1, 53));
        assert!(lab.reaches(remote(1, 53), external, Udp).is_some());
        seen.insert(external.0.octets()[3]);
    }
    assert_eq!(seen, HashSet::from([9, 64, 65, 200, 201]));
    let between = tcp(remote(1, 1), (Ipv4Addr::new(203, 0, 113, 10), 2_000), SYN).bytes();
    assert_eq!(
        lab.dropped(Side::Outside, &between),
        DropReason::NotExternal
    );
}

#[test]
pub fn req_4_external_ports_of_a_subscriber_are_limited() {
    let mut lab = Lab::with(narrow);
    for port in 1..=128 {
        lab.open_udp(host(1, port), remote(1, 53));
    }
    let (reason, _) = lab.refused(Side::Inside, &udp(host(1, 129), remote(1, 53)).bytes());
    assert_eq!(reason, DropReason::SubscriberLimit);
    lab.open_udp(host(2, 1), remote(1, 53));
}

#[test]
pub fn req_4a_b_limits_are_configurable_by_transport() {
    let mut lab = Lab::with(|config| {
        config.ports.limits = PortLimits {
            ports: [Some(3), Some(5), Some(2)],
            ..config.ports.limits
        };
    });
    let opened = |lab: &mut Lab, make: &dyn Fn(u16) -> Vec<u8>| {
        (1..50)
            .filter(|&port| {
                matches!(
                    lab.pass(Side::Inside, &make(port)).verdict,
                    Verdict::Forward { .. }
                )
            })
            .count()
    };
    assert_eq!(
        opened(&mut lab, &|port| tcp(host(1, port), remote(1, 80), SYN)
            .bytes()),
        3
    );
    assert_eq!(
        opened(&mut lab, &|port| udp(host(1, port), remote(1, 80)).bytes()),
        5
    );
    assert_eq!(
        opened(&mut lab, &|port| echo(host(1, port), remote(1, 0).0)
            .bytes()),
        2
    );
    // A mapping that ended makes room.
    lab.wait(62);
    assert_eq!(
        opened(&mut lab, &|port| echo(host(1, port + 100), remote(1, 0).0)
            .bytes()),
        2
    );
}

#[test]
pub fn req_4c_the_rate_of_new_mappings_is_limited() {
    let mut lab = Lab::with(|config| config.ports.limits.rate = Some(10));
    let mut port = 0;
    let mut try_for = |lab: &mut Lab, count: u64, pause: u64| {
        (0..count)
            .filter(|_| {
                port += 1;
                lab.wait_for(Duration::from_millis(pause));
                matches!(
                    lab.pass(Side::Inside, &udp(host(1, port), remote(1, 53)).bytes())
                        .verdict,
                    Verdict::Forward { .. }
                )
            })
            .count()
    };
    assert_eq!(try_for(&mut lab, 100, 0), 10);
    let opened = try_for(&mut lab, 505, 99);
    assert!(
        (490..=501).contains(&opened),
        "{opened} in 50 s at 10 a second"
    );
    // Existing mappings are not slowed down.
    for _ in 0..1_000 {
        lab.open_udp(host(1, 1), remote(1, 53));
    }
}

#[test]
pub fn req_5_state_is_limited() {
    let mut lab = Lab::with(|config| {
        config.limits = Limits {
            sessions_per_mapping: 4,
            sessions: 6,
            mappings: 8,
            ..Limits::default()
        };
    });
    let connects = |lab: &mut Lab, number: u8| {
        (1..20)
            .filter(|&to| {
                matches!(
                    lab.pass(
                        Side::Inside,
                        &tcp(host(number, 5), remote(to, 80), SYN).bytes()
                    )
                    .verdict,
                    Verdict::Forward { .. }
                )
            })
            .count()
    };
    assert_eq!(connects(&mut lab, 1), 5, "one and four further");
    assert_eq!(connects(&mut lab, 2), 3, "one and what is left of six");
    assert_eq!(connects(&mut lab, 3), 1);
    assert_eq!(lab.dropped_for(DropReason::SessionLimit), 14 + 16 + 18);
    for number in 4..=8 {
        lab.open_udp(host(number, 1), remote(1, 53));
    }
    let (reason, _) = lab.refused(Side::Inside, &udp(host(9, 1), remote(1, 53)).bytes());
    assert_eq!(reason, DropReason::MappingLimit);
    // What is there goes on.
    lab.out(&tcp(host(1, 5), remote(1, 80), SYN).bytes());
    lab.wait(400);
    assert_eq!(lab.nat.size().mappings, 0);
    lab.open_udp(host(9, 1), remote(1, 53));
    for (name, change) in [
        (
            "mappings",
            (|limits| limits.mappings = 0) as fn(&mut Limits),
        ),
        ("sessions", |limits| limits.sessions = u32::MAX),
    ] {
        let mut wrong = config();
        change(&mut wrong.limits);
        assert!(
            matches!(Nat::new(wrong, [0; 32]), Err(ConfigError::Limit { name: said, .. }) if said == name)
        );
    }
}

#[test]
pub fn req_6_translation_can_be_off_for_destinations() {
    let mut lab = Lab::with(|config| config.exempt = vec!["198.51.100.128/25".parse().unwrap()]);
    let here = udp(host(1, 4_000), remote(200, 53)).bytes();
    assert_eq!(lab.out(&here), here);
    let back = udp(remote(200, 53), host(1, 4_000)).bytes();
    assert_eq!(lab.inward(&back), back);
    let pieces = fragments(
        &udp(host(1, 4_000), remote(200, 53))
            .payload_of(900)
            .identified(7)
            .bytes(),
        &[504],
    );
    for piece in pieces.iter().rev() {
        assert_eq!(lab.out(piece), *piece);
    }
    let refusal = error(host(1, 0).0, remote(200, 0).0, UNREACHABLE, 3, &back).bytes();
    assert_eq!(lab.out(&refusal), refusal);
    assert_eq!(lab.nat.size().mappings, 0);
    assert_eq!(lab.nat.counters().exempt, 5);
    // Others are translated, and no other outside reaches the inside untranslated.
    assert_ne!(
        lab.open_udp(host(1, 4_000), remote(127, 53)),
        host(1, 4_000)
    );
    let stranger = udp(remote(127, 53), host(1, 4_000)).bytes();
    assert_eq!(
        lab.dropped(Side::Outside, &stranger),
        DropReason::NotExternal
    );
}

#[test]
pub fn req_8_a_block_rests_for_two_minutes_between_two_holders() {
    let mut lab = Lab::with(|config| {
        narrow(config);
        config.ports.port_range = portledger_model::PortRange::new(1_024, 1_087).unwrap();
    });
    lab.open_udp(host(1, 1), remote(1, 53));
    // 300 s for the mapping, 120 s for the empty block, 120 s of rest.
    let mut waited = 0;
    while lab.count_events(|event| matches!(event, Event::Released { .. })) == 0 {
        lab.wait(1);
        waited += 1;
        assert!(waited < 430);
    }
    assert!(waited >= 420);
    let next = udp(host(2, 1), remote(1, 53)).bytes();
    lab.wait(118);
    assert_eq!(lab.dropped(Side::Inside, &next), DropReason::PoolExhausted);
    lab.wait(3);
    lab.out(&next);
    let mut short = config();
    short.ports.guard_time = Duration::from_secs(119);
    assert!(matches!(
        Nat::new(short, [0; 32]),
        Err(ConfigError::Ports(_))
    ));
}

#[test]
pub fn req_8_inside_its_block_a_subscriber_may_use_a_port_again_at_once() {
    let mut lab = Lab::with(|config| {
        narrow(config);
        config.ports.limits.blocks = 1;
    });
    let first: HashSet<_> = (1..=64)
        .map(|port| lab.open_echo(host(1, port), remote(1, 0)))
        .collect();
    lab.wait(62);
    let second: HashSet<_> = (101..=164)
        .map(|port| lab.open_echo(host(1, port), remote(1, 0)))
        .collect();
    assert_eq!(first, second, "all 64 of its block");
}

#[test]
pub fn req_10_everything_is_counted() {
    let mut lab = Lab::new();
    let external = lab.open_udp(host(1, 1), remote(1, 53));
    lab.reaches(remote(1, 53), external, Udp);
    lab.hairpin(&udp(host(2, 1), external).bytes());
    lab.pass(Side::Outside, &[0x45]);
    let counters = lab.nat.counters();
    assert_eq!((counters.from_inside, counters.from_outside), (2, 2));
    assert_eq!((counters.to_inside, counters.to_outside), (2, 1));
    assert_eq!((counters.hairpinned, counters.mappings_opened), (1, 2));
    assert_eq!(
        counters.drops().collect::<Vec<_>>(),
        [(DropReason::Truncated, 1)]
    );
    let size = lab.nat.size();
    assert_eq!(
        (size.mappings, size.usage.held, size.usage.subscribers),
        (2, 2, 2)
    );
    let names: HashSet<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), DropReason::ALL.len());
}

#[test]
pub fn req_11_exhaustion_drops_answers_tells_and_takes_nothing_away() {
    let mut lab = Lab::with(narrow);
    let mut open = Vec::new();
    for number in 1..=16 {
        open.push((number, lab.open_udp(host(number, 1), remote(1, 53))));
    }
    for number in 17..=250 {
        let packet = udp(host(number, 1), remote(1, 53)).bytes();
        let passed = lab.pass(Side::Inside, &packet);
        assert_eq!(passed.verdict, Verdict::Drop(DropReason::PoolExhausted));
        for emitted in passed.emitted {
            assert_eq!(icmp_kind(&emitted.data), (UNREACHABLE, 1));
            assert_eq!(read(&emitted.data).destination.0, host(number, 0).0);
        }
    }
    assert_eq!(config().icmp_refusal, IcmpRefusal::HostUnreachable);
    assert_eq!(
        lab.nat.counters().icmp_sent,
        100,
        "the budget of one second"
    );
    assert_eq!(
        lab.count_events(|event| matches!(event, Event::PoolExhausted { .. })),
        1
    );
    for (number, external) in open {
        assert_eq!(
            lab.reaches(remote(1, 53), external, Udp)
                .unwrap()
                .destination,
            host(number, 1)
        );
        assert_eq!(lab.open_udp(host(number, 1), remote(2, 53)), external);
        lab.open_udp(host(number, 2), remote(1, 53));
    }
}

#[test]
pub fn req_11_a_quota_is_told_once() {
    let mut lab = Lab::with(narrow);
    for _ in 0..3 {
        for port in 1..=1_000 {
            lab.pass(Side::Inside, &udp(host(1, port), remote(1, 53)).bytes());
        }
        lab.wait(1);
    }
    let quota = |event: &Event| {
        matches!(
            event,
            Event::LimitReached {
                limit: Limit::Blocks,
                ..
            }
        )
    };
    assert_eq!(lab.count_events(quota), 1);
    // Once more when it has eased and is reached again.
    lab.wait(1_000);
    for port in 1..=1_000 {
        lab.pass(Side::Inside, &udp(host(1, port), remote(1, 53)).bytes());
    }
    assert_eq!(lab.count_events(quota), 2);
}

#[test]
pub fn req_12_no_destination_is_logged() {
    let mut lab = Lab::with(narrow);
    for number in 1..=40 {
        for port in 1..40 {
            lab.pass(
                Side::Inside,
                &udp(host(number, port), remote(222, 54_321)).bytes(),
            );
        }
    }
    lab.wait(1_000);
    assert!(lab.told.len() > 32);
    for event in lab.events() {
        // What an event holds is its block, its holder and numbers: print all of it.
        let text = format!("{event:?}");
        assert!(
            !text.contains("198.51.100") && !text.contains("54321"),
            "{text}"
        );
    }
}

#[test]
pub fn req_13_every_port_is_used() {
    let mut lab = Lab::with(|config| {
        narrow(config);
        config.ports.limits.blocks = 64;
    });
    let seen: HashSet<u16> = (1..=1_024)
        .map(|port| lab.open_udp(host(1, port), remote(1, 53)).1)
        .collect();
    assert_eq!(seen, (1_024..2_048).collect());
}

#[test]
pub fn req_14_one_event_for_a_block_not_for_a_mapping() {
    let mut lab = Lab::new();
    for port in 1..=256 {
        lab.open_udp(host(1, port), remote(1, 53));
        lab.syn(host(1, port), remote(1, 53));
        lab.open_echo(host(1, port), remote(1, 53));
    }
    assert_eq!(lab.told.len(), 1, "768 mappings");
    lab.wait(1_000);
    assert_eq!(lab.told.len(), 2, "and one when it is given back");
}

#[test]
pub fn req_15_ports_are_hard_to_guess() {
    let mut lab = Lab::with(|config| config.ports.block_size = 4_096);
    let ports: Vec<u16> = (1..=2_000)
        .map(|port| lab.open_udp(host(1, port), remote(1, 53)).1)
        .collect();
    // Not in sequence, and evenly over the block: chi-square over 16 bins, 15 degrees of freedom,
    // below 37.7 in 999 of 1,000 draws.
    let neighbours = ports
        .windows(2)
        .filter(|two| two[0].abs_diff(two[1]) == 1)
        .count();
    assert!(neighbours < 10, "{neighbours} neighbours of 2,000");
    let mut bins = [0.0_f64; 16];
    for port in &ports[..500] {
        bins[usize::from(port % 4_096 / 256)] += 1.0;
    }
    let expected = 500.0 / 16.0;
    let chi: f64 = bins.iter().map(|n| (n - expected).powi(2) / expected).sum();
    assert!(chi < 37.7, "{chi}");
    // Another seed, other ports: nothing is left to guess from the outside.
    let mut nat = Nat::new(config(), [8; 32]).unwrap();
    let mut bytes = udp(host(1, 1), remote(1, 53)).bytes();
    let mut packets = [Packet::new(&mut bytes)];
    nat.batch(lab.now, Side::Inside, &mut packets, &mut Output::default());
    assert_ne!(read(&bytes).source.1, ports[0]);
}

#[test]
pub fn section_4_the_log_says_who_held_what_and_when() {
    let mut lab = Lab::new();
    let began = lab.now;
    let external = lab.open_udp(host(1, 1), remote(1, 53));
    lab.wait(1_000);
    let [first, second] = &lab.told[..] else {
        panic!("{:?}", lab.told)
    };
    let (
        Event::Allocated(block),
        Event::Released {
            block: released,
            since,
        },
    ) = (&first.event, &second.event)
    else {
        panic!("{:?}", lab.told)
    };
    assert_eq!((first.at, block, *since), (began, released, began));
    assert_eq!(
        second.at,
        began.after(Duration::from_secs(301 + 120)),
        "by its own second, not by the look"
    );
    assert_eq!(
        block.subscriber.internal(),
        std::net::IpAddr::V4(host(1, 0).0).into()
    );
    assert_eq!(block.external, external.0);
    assert!(block.ports.contains(external.1));
    assert_eq!(block.transport, None, "all transports");
    assert_eq!((first.number.0, second.number.0), (1, 2));
}
