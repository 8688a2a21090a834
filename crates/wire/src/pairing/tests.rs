use std::net::Ipv4Addr;

use portledger_model::{Durability, Internal, PortRange, Realm, Start};

use super::*;

fn time(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000 + secs)
}

fn who(host: u8) -> Subscriber {
    Subscriber::new(Realm::default(), Ipv4Addr::new(100, 64, 0, host).into())
}

fn holding(phase: Phase, host: Option<u8>, since: Option<i64>) -> Holding {
    Holding {
        phase,
        kind: Kind::Block,
        subscriber: host.map(who),
        external: Ipv4Addr::new(203, 0, 113, 7),
        ports: PortRange::new(1_024, 1_535).unwrap(),
        transport: None,
        since: since.map(time),
    }
}

fn ports(at: i64, phase: Phase, host: Option<u8>, since: Option<i64>) -> NatEvent {
    NatEvent {
        at: EventTime::Told(time(at)),
        told: Told::Ports(holding(phase, host, since)),
    }
}

fn session(at: i64, phase: Phase, host: u8) -> NatEvent {
    NatEvent {
        at: EventTime::Told(time(at)),
        told: Told::Ports(Holding {
            kind: Kind::Session {
                internal_port: None,
                destination: None,
            },
            ..holding(phase, Some(host), None)
        }),
    }
}

fn start(at: i64) -> NatEvent {
    NatEvent {
        at: EventTime::Told(time(at)),
        told: Told::Started(Start {
            clock_error: Duration::ZERO,
            guard_time: Duration::ZERO,
            durability: Durability::LogBeforeUse,
            continues: false,
            heartbeat: None,
        }),
    }
}

/// What the records say, shortly: what, when, of whom and since when.
fn paired(events: impl IntoIterator<Item = NatEvent>) -> Vec<String> {
    let mut pairing = Pairing::new(Device::new("cgn1").unwrap());
    let mut out = Vec::new();
    for event in events {
        pairing.take(event, &mut out).unwrap();
    }
    pairing.finish(&mut out);
    let secs = |at: Timestamp| at.as_micros() / 1_000_000 - 1_790_000_000;
    let host = |block: &Block| match block.subscriber.internal() {
        Internal::Address(address) => address.octets()[3],
        _ => 0,
    };
    let said = out.iter().filter_map(|record| {
        let at = secs(record.at);
        Some(match &record.event {
            Event::Allocated(block) => format!("{at}: {} has it", host(block)),
            Event::Held { block, since } => {
                format!("{at}: {} has it since {}", host(block), secs(*since))
            }
            Event::Released { block, since } => {
                format!("{at}: {} had it since {}", host(block), secs(*since))
            }
            Event::Lost { since, .. } => format!("{at}: lost since {}", secs(*since)),
            _ => return None,
        })
    });
    said.collect()
}

#[test]
fn a_release_gets_its_beginning() {
    let events = [
        ports(1, Phase::Begun, Some(1), None),
        ports(9, Phase::Ended, None, None),
    ];
    assert_eq!(paired(events), ["1: 1 has it", "9: 1 had it since 1"]);
}

#[test]
fn a_release_that_overtakes_its_allocation_still_finds_it() {
    let events = [
        ports(9, Phase::Ended, Some(1), None),
        ports(1, Phase::Begun, Some(1), None),
    ];
    assert_eq!(paired(events), ["1: 1 has it", "9: 1 had it since 1"]);
}

/// Who begins to listen hears releases of what was handed out before, many at once.
#[test]
fn each_allocation_finds_its_own_release_among_many() {
    let of = |phase, place: u16, at| {
        let first = 1_024 + place * 8;
        let mut event = ports(at, phase, Some(1), None);
        if let Told::Ports(holding) = &mut event.told {
            holding.ports = PortRange::new(first, first + 7).unwrap();
        }
        event
    };
    let mut pairing = Pairing::new(Device::new("cgn1").unwrap());
    let mut out = Vec::new();
    for place in 0..4_000 {
        pairing.take(of(Phase::Ended, place, 9), &mut out).unwrap();
    }
    assert_eq!(out, []);
    for place in (0..4_000).rev() {
        pairing.take(of(Phase::Begun, place, 1), &mut out).unwrap();
    }
    assert_eq!(out.len(), 8_000);
    let pairs = out.as_chunks::<2>().0;
    assert!(pairs.iter().all(|[begun, ended]| {
        let (Event::Allocated(begun), Event::Released { block, .. }) = (&begun.event, &ended.event)
        else {
            return false;
        };
        begun == block
    }));
}

#[test]
fn what_was_held_when_the_log_began_was_held_since_then() {
    let events = [start(5), ports(900, Phase::Ended, Some(1), None)];
    assert_eq!(paired(events), ["900: 1 had it since 5"]);
}

#[test]
fn a_lost_beginning_is_a_gap_and_nobody_is_named_for_it() {
    let events = [
        start(0),
        ports(1, Phase::Begun, Some(1), None),
        ports(9, Phase::Ended, Some(1), None),
        ports(900, Phase::Ended, Some(2), None),
    ];
    assert_eq!(
        paired(events),
        ["1: 1 has it", "9: 1 had it since 1", "900: lost since 9"]
    );
}

#[test]
fn an_interim_record_repairs_a_lost_allocation() {
    // Juniper's INTERIM says since when.
    let events = [
        ports(90, Phase::Held, Some(1), Some(10)),
        ports(99, Phase::Ended, Some(1), None),
    ];
    assert_eq!(
        paired(events),
        ["90: 1 has it since 10", "99: 1 had it since 10"]
    );
}

#[test]
fn a_release_that_was_lost_does_not_hide_who_has_the_ports_now() {
    let events = [
        ports(1, Phase::Begun, Some(1), None),
        ports(50, Phase::Begun, Some(2), None),
        ports(60, Phase::Ended, Some(2), None),
    ];
    assert_eq!(
        paired(events),
        ["1: 1 has it", "50: 2 has it", "60: 2 had it since 50"]
    );
}

#[test]
fn a_restart_ends_what_was_held() {
    let events = [
        ports(1, Phase::Begun, Some(1), None),
        start(50),
        ports(60, Phase::Begun, Some(2), None),
    ];
    assert_eq!(
        paired(events),
        ["1: 1 has it", "50: 1 had it since 1", "60: 2 has it"]
    );
}

#[test]
fn the_same_told_twice_is_one() {
    let begun = || ports(1, Phase::Begun, Some(1), None);
    assert_eq!(paired([begun(), begun()]), ["1: 1 has it"]);
}

#[test]
fn a_port_is_held_until_its_last_session_ends() {
    let events = [
        session(1, Phase::Begun, 1),
        session(2, Phase::Begun, 1),
        session(3, Phase::Ended, 1),
        session(9, Phase::Ended, 1),
    ];
    assert_eq!(paired(events), ["1: 1 has it", "9: 1 had it since 1"]);
}

#[test]
fn whom_a_release_without_a_name_means_is_not_guessed() {
    let events = [
        start(0),
        session(1, Phase::Begun, 1),
        session(2, Phase::Begun, 2),
        ports(3, Phase::Ended, None, None),
    ];
    assert_eq!(
        paired(events),
        ["1: 1 has it", "2: 2 has it", "3: lost since 0"]
    );
}

#[test]
fn ports_of_nobody_are_refused() {
    let mut pairing = Pairing::new(Device::new("cgn1").unwrap());
    let taken = pairing.take(ports(1, Phase::Begun, None, None), &mut Vec::new());
    assert_eq!(taken, Err(Unkept::NoSubscriber));
}

/// Some releases of Juniper's software repeat the time of the allocation in a RELEASE.
#[test]
fn a_block_that_was_held_for_no_time_was_held_until_nobody_knows_when() {
    let late = NatEvent {
        at: EventTime::Late {
            told: time(1),
            sent: time(900),
        },
        ..ports(1, Phase::Ended, Some(1), None)
    };
    let events = [ports(1, Phase::Begun, Some(1), None), late];
    let said = ["1: 1 has it", "900: lost since 1", "900: 1 had it since 1"];
    assert_eq!(paired(events), said);
    // Handed out and given back within a second, by a clock of seconds.
    let events = [
        ports(1, Phase::Begun, Some(1), None),
        ports(1, Phase::Ended, Some(1), None),
        ports(5, Phase::Begun, Some(2), None),
    ];
    let said = [
        "1: 1 has it",
        "2: lost since 1",
        "2: 1 had it since 1",
        "5: 2 has it",
    ];
    assert_eq!(paired(events), said);
}

#[test]
fn a_message_that_comes_late_says_nothing_of_when_a_block_was_given_back() {
    let late = NatEvent {
        at: EventTime::Late {
            told: time(9),
            sent: time(900),
        },
        ..ports(9, Phase::Ended, Some(1), None)
    };
    let events = [ports(1, Phase::Begun, Some(1), None), late];
    assert_eq!(paired(events), ["1: 1 has it", "9: 1 had it since 1"]);
}

/// A session of one packet may begin and end in the same moment.
#[test]
fn a_session_of_a_moment_is_no_loss() {
    let events = [session(1, Phase::Begun, 1), session(1, Phase::Ended, 1)];
    assert_eq!(paired(events), ["1: 1 has it", "1: 1 had it since 1"]);
}
