//! RFC 7768: port management to reduce logging.

use std::{collections::HashSet, time::Duration};

use portledger_model::{Block, Event, PortRange, Transport::Udp};
use portledger_nat::{Config, ConfigError, DropReason, Nat, Past, Side, Verdict};
use portledger_ports::{Pool, Restored};

use crate::support::{
    lab::{Lab, config},
    packet::{host, remote, udp},
};

/// One address with `blocks` blocks of 64 ports.
fn blocks(count: u16) -> impl Fn(&mut Config) {
    move |config| {
        config.ports.pool = Pool::parse(&["203.0.113.1"]).unwrap();
        config.ports.block_size = 64;
        config.ports.port_range = PortRange::new(1_024, 1_023 + 64 * count).unwrap();
    }
}

fn allocated(lab: &Lab) -> Vec<Block> {
    lab.events()
        .filter_map(|event| match event {
            Event::Allocated(block) => Some(block.clone()),
            _ => None,
        })
        .collect()
}

#[test]
pub fn section_2_a_block_is_allocated_by_the_first_packet() {
    let mut lab = Lab::with(blocks(16));
    assert_eq!(lab.told, []);
    lab.open_udp(host(1, 1), remote(1, 53));
    assert_eq!(allocated(&lab).len(), 1);
    for port in 2..=64 {
        lab.open_udp(host(1, port), remote(1, 53));
    }
    assert_eq!(allocated(&lab).len(), 1);
    lab.open_udp(host(1, 65), remote(1, 53));
    assert_eq!(allocated(&lab).len(), 2, "more on demand");
}

#[test]
pub fn section_2_an_idle_block_is_given_back_after_its_time() {
    for idle in [30, 1_000] {
        let mut lab = Lab::with(|config| {
            blocks(16)(config);
            config.ports.block_idle = Duration::from_secs(idle);
        });
        lab.open_udp(host(1, 1), remote(1, 53));
        lab.wait(301 + idle - 1);
        assert_eq!(lab.told.len(), 1);
        lab.wait(1);
        assert!(matches!(lab.told[1].event, Event::Released { .. }));
        assert_eq!(lab.told[1].at, lab.now);
    }
}

#[test]
pub fn section_2_no_block_is_given_on_before_its_guard_time() {
    let mut lab = Lab::with(|config| {
        blocks(1)(config);
        config.ports.guard_time = Duration::from_secs(7_440);
    });
    lab.open_udp(host(1, 1), remote(1, 53));
    lab.wait(421);
    let next = udp(host(2, 1), remote(1, 53)).bytes();
    assert_eq!(lab.dropped(Side::Inside, &next), DropReason::PoolExhausted);
    lab.wait(7_439);
    assert_eq!(lab.dropped(Side::Inside, &next), DropReason::PoolExhausted);
    lab.wait(1);
    lab.out(&next);
}

#[test]
pub fn section_2_the_guard_time_covers_the_clocks_errors() {
    let mut wrong = config();
    wrong.ports.server_clock_error = Duration::from_secs(60);
    assert!(
        matches!(Nat::new(wrong, [0; 32]), Err(ConfigError::Ports(_))),
        "2 x 60.1 s > 120 s"
    );
}

#[test]
pub fn section_2_the_longest_idle_block_is_left_out() {
    let mut lab = Lab::with(blocks(16));
    // Two full blocks; then half of each ends, and the second sees packets from the outside.
    let externals: Vec<_> = (1..=128)
        .map(|port| lab.open_udp(host(1, port), remote(1, 53)))
        .collect();
    let [first, second] = &allocated(&lab)[..] else {
        panic!()
    };
    lab.wait(200);
    let refreshed = |range: &PortRange, lab: &mut Lab| {
        let kept: Vec<u16> = (1..=128)
            .filter(|&port| range.contains(externals[usize::from(port) - 1].1))
            .take(32)
            .collect();
        for port in kept {
            lab.open_udp(host(1, port), remote(1, 53));
        }
    };
    refreshed(&second.ports, &mut lab);
    lab.wait(1);
    refreshed(&first.ports, &mut lab);
    lab.wait(150);
    assert_eq!(lab.nat.size().mappings, 64);
    // The first had the last packet. One from the outside makes it the second.
    let reached = externals
        .iter()
        .filter(|end| second.ports.contains(end.1))
        .any(|&end| lab.reaches(remote(9, 9), end, Udp).is_some());
    assert!(reached);
    for port in 1_001..=1_032 {
        assert!(
            second
                .ports
                .contains(lab.open_udp(host(1, port), remote(1, 53)).1)
        );
    }
    assert!(
        first
            .ports
            .contains(lab.open_udp(host(1, 1_033), remote(1, 53)).1),
        "unless no other has a port"
    );
}

#[test]
pub fn section_2_blocks_are_drawn_at_random() {
    let order = |seed: u8| -> Vec<u16> {
        let mut config = config();
        blocks(64)(&mut config);
        let mut nat = Nat::new(config, [seed; 32]).unwrap();
        let mut output = portledger_nat::Output::default();
        for number in 1..=64 {
            let mut bytes = udp(host(number, 1), remote(1, 53)).bytes();
            let now = portledger_model::Timestamp::from_secs(1);
            nat.batch(
                now,
                Side::Inside,
                &mut [portledger_nat::Packet::new(&mut bytes)],
                &mut output,
            );
        }
        let first_ports = output.events.iter().filter_map(|told| match &told.event {
            Event::Allocated(block) => Some(block.ports.first()),
            _ => None,
        });
        first_ports.collect()
    };
    let one = order(1);
    assert_eq!(one.iter().collect::<HashSet<_>>().len(), 64, "each once");
    assert!(
        one.windows(2).filter(|two| two[0] + 64 == two[1]).count() < 10,
        "not in sequence"
    );
    assert_ne!(one, order(2));
    assert_eq!(one, order(1));
}

#[test]
pub fn section_2_ports_are_drawn_over_all_blocks() {
    let mut lab = Lab::with(blocks(16));
    for port in 1..=192 {
        lab.open_udp(host(1, port), remote(1, 53));
    }
    lab.wait(302);
    // Three empty blocks, of which one is left out: the other two share what comes.
    let mut used = HashSet::new();
    for port in 1..=40 {
        used.insert(lab.open_udp(host(1, port), remote(1, 53)).1 / 64);
    }
    assert_eq!(used.len(), 2);
}

#[test]
pub fn after_a_restart_holders_keep_their_blocks() {
    let mut before = Lab::with(blocks(4));
    let was = before.open_udp(host(1, 1), remote(1, 53));
    let past = || Past {
        held: before
            .nat
            .held_blocks()
            .into_iter()
            .map(|(block, since)| Restored { block, since })
            .collect(),
        ..Past::default()
    };
    let mut lab = Lab::after(past(), blocks(4));
    assert_eq!(lab.told, [], "nothing new to say");
    let now = lab.open_udp(host(1, 1), remote(1, 53));
    assert_eq!(now.1 / 64, was.1 / 64);
    for number in 2..=4 {
        assert_ne!(
            lab.open_udp(host(number, 1), remote(1, 53)).1 / 64,
            was.1 / 64
        );
    }
    // Unused, it is given back and rests like any other.
    let mut lab = Lab::after(past(), blocks(4));
    lab.wait(120);
    assert!(matches!(lab.told[0].event, Event::Released { .. }));
    for number in 2..=5 {
        lab.pass(Side::Inside, &udp(host(number, 1), remote(1, 53)).bytes());
    }
    assert_eq!(allocated(&lab).len(), 3);
}

#[test]
pub fn after_a_restart_what_rested_rests_on() {
    let mut before = Lab::with(blocks(1));
    before.open_udp(host(1, 1), remote(1, 53));
    let block = allocated(&before).remove(0);
    let released = Lab::new().now;
    let resting = |ago: u64| released.before(Duration::from_secs(ago));
    let mut lab = Lab::after(
        Past {
            resting: vec![(resting(100), block.clone())],
            ..Past::default()
        },
        blocks(1),
    );
    let next = udp(host(2, 1), remote(1, 53)).bytes();
    lab.wait(19);
    assert_eq!(lab.dropped(Side::Inside, &next), DropReason::PoolExhausted);
    lab.wait(1);
    lab.out(&next);
    // Twice in the list, in any order: the later release counts.
    let mut lab = Lab::after(
        Past {
            resting: vec![(resting(10), block.clone()), (resting(100), block)],
            ..Past::default()
        },
        blocks(1),
    );
    lab.wait(109);
    assert_eq!(lab.dropped(Side::Inside, &next), DropReason::PoolExhausted);
    lab.wait(1);
    lab.out(&next);
}

/// Blocks of another size: half of the new block was held until now, the other half was given
/// back long ago. The new block rests for the later one.
#[test]
pub fn after_a_restart_with_other_blocks_every_port_rests() {
    let mut before = Lab::with(blocks(2));
    before.open_udp(host(1, 1), remote(1, 53));
    before.open_udp(host(2, 1), remote(1, 53));
    let both = allocated(&before);
    let began = before.now;
    for (held, resting) in [(0, 1), (1, 0)] {
        let past = Past {
            held: vec![Restored {
                block: both[held].clone(),
                since: began,
            }],
            resting: vec![(
                began.before(Duration::from_secs(110)),
                both[resting].clone(),
            )],
            events_lost: false,
        };
        let mut lab = Lab::after(past, |config| {
            blocks(2)(config);
            config.ports.block_size = 128;
        });
        assert!(matches!(lab.told[0].event, Event::Released { .. }));
        let next = udp(host(3, 1), remote(1, 53)).bytes();
        lab.wait(119);
        assert_eq!(lab.dropped(Side::Inside, &next), DropReason::PoolExhausted);
        lab.wait(1);
        lab.out(&next);
    }
}

#[test]
pub fn after_a_crash_that_lost_events_every_block_rests() {
    let mut lab = Lab::after(
        Past {
            events_lost: true,
            ..Past::default()
        },
        blocks(4),
    );
    let packet = udp(host(1, 1), remote(1, 53)).bytes();
    lab.wait(119);
    assert_eq!(
        lab.dropped(Side::Inside, &packet),
        DropReason::PoolExhausted
    );
    lab.wait(1);
    lab.out(&packet);
}

#[test]
pub fn log_before_use() {
    let mut lab = Lab::new();
    let packet = udp(host(1, 1), remote(1, 53)).bytes();
    let after = |passed: crate::support::lab::Passed| match passed.verdict {
        Verdict::Forward { after, .. } => after.0,
        other => panic!("{other:?}"),
    };
    assert_eq!(after(lab.pass(Side::Inside, &packet)), 1);
    assert_eq!(
        after(lab.pass(Side::Inside, &packet)),
        1,
        "until it is durable"
    );
    assert_eq!(
        after(lab.pass(Side::Inside, &udp(host(1, 2), remote(1, 53)).bytes())),
        1,
        "all of the block's"
    );
    let two = udp(host(2, 1), remote(1, 53)).bytes();
    assert_eq!(after(lab.pass(Side::Inside, &two)), 2);
    // Between two subscribers: both blocks must be known.
    let external = lab.open_udp(host(1, 1), remote(1, 53));
    assert_eq!(
        after(lab.pass(Side::Inside, &udp(host(2, 1), external).bytes())),
        2
    );
    assert_eq!(
        after(lab.pass(Side::Outside, &udp(remote(1, 53), external).bytes())),
        1
    );
    lab.nat.durable(portledger_nat::EventNumber(1));
    assert_eq!(after(lab.pass(Side::Inside, &packet)), 0);
    assert_eq!(after(lab.pass(Side::Inside, &two)), 2);
    lab.nat.durable(portledger_nat::EventNumber(2));
    assert_eq!(after(lab.pass(Side::Inside, &two)), 0);
    // Fragments and errors wait like what they belong to.
    let big = udp(host(3, 1), remote(1, 53))
        .payload_of(900)
        .identified(3)
        .bytes();
    let pieces = crate::support::packet::fragments(&big, &[504]);
    lab.pass(Side::Inside, &pieces[1]);
    let first = lab.pass(Side::Inside, &pieces[0]);
    assert_eq!(first.emitted[0].after.0, 3);
    assert_eq!(after(first), 3);
}
