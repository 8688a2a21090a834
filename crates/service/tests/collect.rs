//! What is sent to sockets, and what the ledger says of it afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "export/certificates.rs"]
mod certificates;
#[path = "collect/defects.rs"]
mod defects;
#[path = "collect/tls.rs"]
mod tls;

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use portledger_ledger::{CommitOptions, Ledger, Options, Writer};
use portledger_model::{
    Device, Evidence as _, External, GapReason, PortRange, Realm, Span, Subscriber, Timestamp,
};
use portledger_service::collect::{
    Collector, Figures, Known, Listener, Protocol, Rejects, Roster, Settings, Telling, Transport,
};
use portledger_wire::{
    EventTime, Holding, Kind, NatEvent, Phase, Told,
    dialect::Dialects,
    flow::{ExportSettings, Exporter},
};

const POOL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// An hour ago, to the second.
fn began() -> Timestamp {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_secs(now.as_secs() as i64 - 3_600)
}

fn time(secs: u64) -> Timestamp {
    began().after(Duration::from_secs(secs))
}

fn who(host: u8) -> Subscriber {
    Subscriber::new(Realm::default(), Ipv4Addr::new(100, 64, 0, host).into())
}

/// A block of 256 ports in a host's hands.
fn block(at: Timestamp, phase: Phase, host: u8, place: u16) -> NatEvent {
    let first = 1_024 + place * 256;
    NatEvent {
        at: EventTime::Told(at),
        told: Told::Ports(Holding {
            phase,
            kind: Kind::Block,
            subscriber: Some(who(host)),
            external: POOL,
            ports: PortRange::new(first, first + 255).unwrap(),
            transport: None,
            since: None,
        }),
    }
}

/// Who held the first port of a place, by the ledger, and why it may not be complete.
fn asked(dir: &Path, place: u16, at: Timestamp) -> (Vec<Subscriber>, Vec<GapReason>) {
    let ledger = Ledger::read(dir).unwrap();
    let external = External {
        address: POOL,
        port: Some(1_024 + place * 256),
        transport: None,
    };
    let span = Span::new(at, at.after(Duration::from_millis(1)));
    let holders = ledger.holders(external, span).unwrap();
    let holders = holders.into_iter().map(|held| held.block.subscriber);
    let coverage = ledger.coverage(external, span, time(7_200)).unwrap();
    let gaps = coverage.gaps.into_iter().map(|gap| gap.reason);
    (holders.collect(), gaps.collect())
}

fn listener(protocol: Protocol, transport: Transport) -> Listener {
    Listener {
        protocol,
        transport,
        address: "127.0.0.1:0".parse().unwrap(),
    }
}

const UDP: Transport = Transport::Udp { buffer: 1 << 20 };

fn settings(dialects: &Dialects, listeners: Vec<Listener>, roster: Roster) -> Settings<'_> {
    Settings {
        listeners,
        roster,
        dialects,
        rejects: None,
    }
}

/// Collects into the ledger in `dir` while `tell` tells; ends when `until` is so.
fn collect(
    dir: &Path,
    settings: Settings<'_>,
    tell: impl FnOnce(&[SocketAddr]),
    until: impl Fn(&Figures) -> bool,
) -> Figures {
    let options = Options {
        collects: true,
        ..Options::default()
    };
    let (writer, _) = Writer::open(dir, options).unwrap();
    let collector = Collector::open(settings, writer, CommitOptions::default()).unwrap();
    thread::scope(|scope| {
        let running = scope.spawn(|| collector.run());
        let addresses: Vec<_> = collector.addresses().collect();
        tell(&addresses);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !until(&collector.figures()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(until(&collector.figures()), "{:?}", collector.figures());
        collector.stop();
        running.join().unwrap().unwrap();
    });
    collector.close().unwrap()
}

fn heard_events(count: u64) -> impl Fn(&Figures) -> bool {
    move |figures| figures.sum(|device| device.events) >= count
}

fn everybody() -> Roster {
    Roster::everybody(Telling::default())
}

/// The events as IPFIX, a message each, sent a second after.
fn messages(events: &[NatEvent]) -> Vec<Vec<u8>> {
    let mut exporter = Exporter::new(ExportSettings::default());
    let each = events.iter().map(|event| {
        let mut message = Vec::new();
        let one = std::slice::from_ref(event);
        let sent = event.at.timestamp().after(Duration::from_secs(1));
        exporter.message(sent, one, &mut message).unwrap();
        message
    });
    each.collect()
}

#[test]
fn blocks_told_over_ipfix_are_in_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let dialects = Dialects::built_in();
    let listeners = vec![listener(Protocol::Flows, UDP)];
    let events = [
        block(time(0), Phase::Begun, 1, 0),
        block(time(10), Phase::Begun, 2, 1),
        block(time(20), Phase::Ended, 1, 0),
    ];
    let figures = collect(
        dir.path(),
        settings(&dialects, listeners, everybody()),
        |addresses| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for message in messages(&events) {
                socket.send_to(&message, addresses[0]).unwrap();
            }
        },
        heard_events(3),
    );
    assert_eq!(figures.devices[0].0, Device::new("127.0.0.1").unwrap());
    // Joined, and the three.
    assert_eq!((figures.submitted, figures.durable), (4, 4));
    assert_eq!(figures.listeners[0].1.received, 3);
    // Who was told of is known; nothing is claimed of the time before and after.
    assert_eq!(
        asked(dir.path(), 0, time(15)),
        (vec![who(1)], vec![GapReason::HeldBefore])
    );
    assert_eq!(asked(dir.path(), 0, time(20)).0, []);
    let after = asked(dir.path(), 1, time(21));
    assert!(after.1.contains(&GapReason::AfterLastRecord), "{after:?}");
}

#[test]
fn a_lost_message_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let dialects = Dialects::built_in();
    let events = [
        block(time(0), Phase::Begun, 1, 0),
        block(time(10), Phase::Begun, 2, 1),
        block(time(20), Phase::Ended, 1, 0),
        block(time(21), Phase::Begun, 3, 0),
        block(time(30), Phase::Begun, 4, 2),
    ];
    let figures = collect(
        dir.path(),
        settings(&dialects, vec![listener(Protocol::Flows, UDP)], everybody()),
        |addresses| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for (number, message) in messages(&events).into_iter().enumerate() {
                // The release and the next allocation never come.
                if number != 2 && number != 3 {
                    socket.send_to(&message, addresses[0]).unwrap();
                }
            }
        },
        |figures| figures.sum(|device| device.missing) == 2,
    );
    assert_eq!(figures.sum(|device| device.losses), 1);
    let (_, gaps) = asked(dir.path(), 0, time(25));
    assert!(gaps.contains(&GapReason::LostOnTheWay), "{gaps:?}");
    let (holders, gaps) = asked(dir.path(), 0, time(5));
    assert_eq!((holders, gaps), (vec![who(1)], vec![GapReason::HeldBefore]));
}

/// What the kernel dropped after the last message that came, no later message tells of.
#[test]
fn what_was_lost_after_the_last_message_is_claimed_by_nobody() {
    let now = || time(3_600);
    for first in [time(0), now().before(Duration::from_secs(20))] {
        let dir = tempfile::tempdir().unwrap();
        let dialects = Dialects::built_in();
        let at = |secs| first.after(Duration::from_secs(secs));
        let events = [
            block(at(0), Phase::Begun, 1, 0),
            block(at(10), Phase::Begun, 2, 1),
            block(at(12), Phase::Ended, 1, 0),
            block(at(13), Phase::Begun, 3, 0),
        ];
        let figures = collect(
            dir.path(),
            settings(&dialects, vec![listener(Protocol::Flows, UDP)], everybody()),
            |addresses| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                // The other two are lost, and nothing follows that would say so.
                for message in messages(&events).iter().take(2) {
                    socket.send_to(message, addresses[0]).unwrap();
                }
            },
            heard_events(2),
        );
        assert_eq!(figures.sum(|device| device.missing), 0);
        assert_eq!(
            asked(dir.path(), 0, at(5)),
            (vec![who(1)], vec![GapReason::HeldBefore])
        );
        for secs in [11, 12, 14] {
            let (_, gaps) = asked(dir.path(), 0, at(secs));
            assert!(
                gaps.contains(&GapReason::AfterLastRecord),
                "{secs}: {gaps:?}"
            );
        }
    }
}

#[test]
fn while_data_waits_for_its_template_nothing_is_claimed() {
    let dir = tempfile::tempdir().unwrap();
    let dialects = Dialects::built_in();
    let mut mapping = block(time(20), Phase::Begun, 3, 5);
    if let Told::Ports(holding) = &mut mapping.told {
        holding.kind = Kind::Mapping {
            internal_port: Some(7),
        };
        holding.ports = PortRange::new(9_000, 9_000).unwrap();
        holding.transport = Some(portledger_model::Transport::Udp);
    }
    let mut again = mapping.clone();
    again.at = EventTime::Told(time(30));
    let events = [
        block(time(0), Phase::Begun, 1, 0),
        mapping,
        again,
        block(time(40), Phase::Begun, 2, 1),
    ];
    let figures = collect(
        dir.path(),
        settings(&dialects, vec![listener(Protocol::Flows, UDP)], everybody()),
        |addresses| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for (number, message) in messages(&events).into_iter().enumerate() {
                // The one with the mappings' template never comes.
                if number != 1 {
                    socket.send_to(&message, addresses[0]).unwrap();
                }
            }
        },
        heard_events(2),
    );
    assert!(figures.sum(|device| device.losses) > 0);
    for at in [10, 35, 45] {
        let (_, gaps) = asked(dir.path(), 0, time(at));
        assert!(gaps.contains(&GapReason::LostOnTheWay), "{at}: {gaps:?}");
    }
}

/// An event as our own NAT says it in syslog.
fn told(host: &str, event: &NatEvent) -> Vec<u8> {
    use portledger_wire::syslog::{Export, Sequence, TimeQuality};
    let mut line = Vec::new();
    let export = Export::new(Device::new(host).unwrap(), TimeQuality::UNSAID);
    export.write(event, event.at.timestamp(), Sequence::FIRST, &mut line);
    line
}

#[test]
fn lines_over_tcp_in_both_framings_tell_of_the_devices_their_headers_name() {
    let dir = tempfile::tempdir().unwrap();
    let dialects = Dialects::built_in();
    let figures = collect(
        dir.path(),
        settings(
            &dialects,
            vec![listener(Protocol::Lines, Transport::Tcp)],
            everybody(),
        ),
        |addresses| {
            let mut counted = TcpStream::connect(addresses[0]).unwrap();
            for (host, event) in [
                ("cgn1", block(time(0), Phase::Begun, 1, 0)),
                ("cgn2", block(time(1), Phase::Begun, 2, 1)),
            ] {
                let line = told(host, &event);
                write!(counted, "{} ", line.len()).unwrap();
                counted.write_all(&line).unwrap();
            }
            let mut ended = TcpStream::connect(addresses[0]).unwrap();
            let mut line = told("cgn3", &block(time(2), Phase::Begun, 3, 2));
            line.push(b'\n');
            // In pieces, as streams come.
            for piece in line.chunks(7) {
                ended.write_all(piece).unwrap();
            }
        },
        heard_events(3),
    );
    let devices: Vec<_> = figures.by_device().into_keys().collect();
    assert_eq!(devices, ["cgn1", "cgn2", "cgn3"]);
    assert_eq!(asked(dir.path(), 1, time(1)).0, [who(2)]);
    assert_eq!(asked(dir.path(), 2, time(2)).0, [who(3)]);
}

#[test]
fn what_is_not_understood_is_a_gap_and_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    let aside = dir.path().join("rejects");
    let dialects = Dialects::built_in();
    let mut settings = settings(&dialects, vec![listener(Protocol::Lines, UDP)], everybody());
    settings.rejects = Some(Rejects::open(&aside, 1 << 20).unwrap());
    let ledger = dir.path().join("ledger");
    let broken = String::from_utf8(told("cgn1", &block(time(10), Phase::Ended, 1, 0))).unwrap();
    let broken = broken.replace("203.0.113.7", "203.0.113.777");
    let figures = collect(
        &ledger,
        settings,
        |addresses| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for line in [
                told("cgn1", &block(time(0), Phase::Begun, 1, 0)),
                b"<13>1 2026-11-01T12:00:00Z cgn1 sshd 7 - - Accepted publickey".to_vec(),
                broken.clone().into_bytes(),
                told("cgn1", &block(time(20), Phase::Begun, 2, 1)),
            ] {
                socket.send_to(&line, addresses[0]).unwrap();
            }
        },
        heard_events(2),
    );
    let (_, device) = &figures.devices[0];
    assert_eq!((device.skipped, device.rejected, device.losses), (1, 1, 1));
    let (_, gaps) = asked(&ledger, 0, time(15));
    assert!(gaps.contains(&GapReason::LostOnTheWay), "{gaps:?}");
    let kept = std::fs::read_to_string(&aside).unwrap();
    assert!(kept.contains("203.0.113.777"), "{kept}");
    assert_eq!((figures.kept_aside, figures.not_kept_aside), (1, 0));
}

#[test]
fn the_time_in_which_nobody_listened_is_a_gap_and_what_was_held_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let dialects = Dialects::built_in();
    let tell = |events: Vec<NatEvent>| {
        let count = events.len() as u64;
        let listeners = vec![listener(Protocol::Flows, UDP)];
        collect(
            dir.path(),
            settings(&dialects, listeners, everybody()),
            |addresses| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                for message in messages(&events) {
                    socket.send_to(&message, addresses[0]).unwrap();
                }
            },
            heard_events(count),
        )
    };
    tell(vec![
        block(time(0), Phase::Begun, 1, 0),
        block(time(10), Phase::Begun, 2, 1),
    ]);
    tell(vec![
        block(time(100), Phase::Ended, 1, 0),
        block(time(110), Phase::Begun, 3, 2),
    ]);
    let (_, gaps) = asked(dir.path(), 0, time(50));
    assert!(gaps.contains(&GapReason::AfterLastRecord), "{gaps:?}");
    // The release of the second run is of the allocation of the first.
    assert_eq!(asked(dir.path(), 0, time(5)).0, [who(1)]);
    assert_eq!(asked(dir.path(), 0, time(101)).0, []);
    assert_eq!(
        asked(dir.path(), 1, time(105)),
        (vec![who(2)], vec![GapReason::HeldBefore])
    );
}

#[test]
fn whoever_is_not_known_is_refused_where_devices_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let dialects = Dialects::built_in();
    let known = Known {
        device: Device::new("cgn1").unwrap(),
        from: vec!["127.0.0.1/32".parse().unwrap()],
        hosts: vec!["cgn1.example".to_owned()],
        telling: Telling::default(),
    };
    let roster = Roster {
        known: vec![known],
        others: None,
    };
    let figures = collect(
        dir.path(),
        settings(&dialects, vec![listener(Protocol::Lines, UDP)], roster),
        |addresses| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for host in ["cgn9.example", "cgn1.example"] {
                let line = told(host, &block(time(0), Phase::Begun, 1, 0));
                socket.send_to(&line, addresses[0]).unwrap();
            }
        },
        heard_events(1),
    );
    assert_eq!(figures.devices.len(), 1);
    assert_eq!(figures.listeners[0].1.refused, 1);
}

#[test]
fn a_connection_that_broke_is_a_gap_until_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let dialects = Dialects::built_in();
    let flows = listener(Protocol::Flows, Transport::Tcp);
    let figures = collect(
        dir.path(),
        settings(&dialects, vec![flows], everybody()),
        |addresses| {
            // The second is heard after what it tells first: until then it may have lost more.
            for (at, place) in [(0, 0), (3_700, 2)] {
                let mut stream = TcpStream::connect(addresses[0]).unwrap();
                for message in messages(&[
                    block(time(at), Phase::Begun, 1, place),
                    block(time(at + 10), Phase::Begun, 2, place + 1),
                ]) {
                    stream.write_all(&message).unwrap();
                }
                drop(stream);
                thread::sleep(Duration::from_millis(500));
            }
        },
        heard_events(4),
    );
    assert_eq!(figures.devices.len(), 1);
    let (_, gaps) = asked(dir.path(), 0, time(50));
    assert!(gaps.contains(&GapReason::LostOnTheWay), "{gaps:?}");
    let (_, gaps) = asked(dir.path(), 0, time(3_705));
    assert_eq!(gaps, [GapReason::HeldBefore]);
}
