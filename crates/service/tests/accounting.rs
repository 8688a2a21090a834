//! RADIUS accounting over a socket: who is known afterwards, and who gets an answer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use portledger_identity::{Store, sessions::Reading};
use portledger_keys::{KeyRing, MasterKey};
use portledger_ledger::{CommitOptions, Ledger, Options, Writer};
use portledger_model::{Evidence as _, External, GapReason, Realm, Span, Subscriber, Timestamp};
use portledger_service::{
    accounting::{Accounting, Client},
    collect::{Collector, Roster, Settings, Telling},
};
use portledger_wire::{
    dialect::Dialects,
    radius::{Packet, Secret},
};

const DAY: Duration = Duration::from_secs(86_400);

/// Two hours ago: what is older than a week is not taken any more.
fn began() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() as i64 - 7_200
}

fn secret() -> Secret {
    Secret::new(b"xyzzy5461").unwrap()
}

/// An Accounting-Request (RFC 2866 §4.1) of nemo's session on bng1.
fn request(identifier: u8, status: u32, at: i64, secret: &Secret) -> Vec<u8> {
    request_with(identifier, status, at, secret, &[])
}

/// The same with more attributes.
fn request_with(
    identifier: u8,
    status: u32,
    at: i64,
    secret: &Secret,
    more: &[(u8, Vec<u8>)],
) -> Vec<u8> {
    let mut packet = vec![4, identifier, 0, 0];
    packet.extend([0; 16]);
    let mut attribute = |kind: u8, value: &[u8]| {
        packet.extend([kind, value.len() as u8 + 2]);
        packet.extend(value);
    };
    attribute(1, b"nemo");
    attribute(8, &[100, 64, 3, 9]);
    attribute(32, b"bng1");
    attribute(40, &status.to_be_bytes());
    attribute(44, b"session-7");
    attribute(55, &(at as u32).to_be_bytes());
    for (kind, value) in more {
        attribute(*kind, value);
    }
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    Packet::parse(&packet).unwrap().signed(secret).unwrap()
}

/// The answer's code and identifier; `None` where none comes.
fn ask(to: SocketAddr, request: &[u8]) -> Option<[u8; 2]> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let patience = Duration::from_millis(1_500);
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.send_to(request, to).unwrap();
    let mut answer = [0; 4_096];
    let length = socket.recv(&mut answer).ok()?;
    answer[..length].first_chunk().copied()
}

/// An IP-Port-Range (RFC 8045 §3.1.2) of 256 ports from 1024 on, handed out (1) or given back (2).
fn range(allocation: u32) -> (u8, Vec<u8>) {
    let parts: [(u8, [u8; 4]); 4] = [
        (8, allocation.to_be_bytes()),
        (9, 1_024_u32.to_be_bytes()),
        (10, 1_279_u32.to_be_bytes()),
        (3, [203, 0, 113, 7]),
    ];
    let mut value = vec![6];
    for (kind, octets) in parts {
        value.extend([kind, 6]);
        value.extend(octets);
    }
    (241, value)
}

fn store(dir: &Path) -> Store {
    let path = dir.join("master");
    let master = if path.exists() {
        MasterKey::load(&portledger_keys::MasterSource::File(path))
    } else {
        MasterKey::create_file(&path)
    };
    let ring = KeyRing::open(&dir.join("keys"), master.unwrap()).unwrap();
    Store::open(&dir.join("identities"), ring).unwrap()
}

fn accounting(dir: &Path) -> Accounting {
    let client = Client {
        from: "127.0.0.0/8".parse().unwrap(),
        secret: secret(),
    };
    let loopback = "127.0.0.1:0".parse().unwrap();
    Accounting::bind(loopback, vec![client], Reading::default(), store(dir)).unwrap()
}

#[test]
fn ports_that_accounting_tells_of_are_in_the_ledger_before_the_answer() {
    let began = began();
    let dir = tempfile::tempdir().unwrap();
    let ledger = dir.path().join("ledger");
    let options = Options {
        collects: true,
        ..Options::default()
    };
    let (writer, _) = Writer::open(&ledger, options).unwrap();
    let dialects = Dialects::built_in();
    let settings = Settings {
        listeners: Vec::new(),
        roster: Roster::everybody(Telling::default()),
        dialects: &dialects,
        rejects: None,
    };
    let collector = Collector::open(settings, writer, CommitOptions::default()).unwrap();
    let accounting = accounting(dir.path());
    let to = accounting.address().unwrap();
    let held = |at: i64| {
        let ledger = Ledger::read(&ledger).unwrap();
        let at = Timestamp::from_secs(at);
        let span = Span::new(at, at.after(Duration::from_millis(1)));
        let external = External {
            address: [203, 0, 113, 7].into(),
            port: Some(1_030),
            transport: None,
        };
        let holders = ledger.holders(external, span).unwrap();
        let coverage = ledger.coverage(external, span, at.after(DAY));
        let gaps = coverage.unwrap().gaps.into_iter().map(|gap| gap.reason);
        let holders = holders.into_iter().map(|held| held.block.subscriber);
        (holders.collect::<Vec<_>>(), gaps.collect::<Vec<_>>())
    };
    thread::scope(|scope| {
        let running = scope.spawn(|| accounting.run(Some(&collector), |error| panic!("{error}")));
        let told = |identifier, status, at, more: &[_]| {
            ask(to, &request_with(identifier, status, at, &secret(), more))
        };
        assert_eq!(told(1, 1, began, &[range(1)]), Some([5, 1]));
        let nemo = Subscriber::new(Realm::default(), IpAddr::from([100, 64, 3, 9]));
        // It was answered, so it is there.
        assert_eq!(held(began).0, vec![nemo.clone()]);
        assert_eq!(told(2, 3, began + 60, &[range(2)]), Some([5, 2]));
        assert_eq!(held(began + 30), (vec![nemo], vec![GapReason::HeldBefore]));
        assert_eq!(held(began + 60).0, []);
        // One that says neither may have been either.
        assert_eq!(told(3, 3, began + 90, &[range(7)]), Some([5, 3]));
        assert_eq!(told(4, 3, began + 120, &[range(1)]), Some([5, 4]));
        assert!(held(began + 100).1.contains(&GapReason::LostOnTheWay));
        accounting.stop();
        running.join().unwrap().unwrap();
    });
    let figures = collector.close().unwrap();
    let (device, figures) = &figures.devices[0];
    assert_eq!(
        (device.as_str(), figures.events, figures.rejected),
        ("bng1", 3, 1)
    );
    assert_eq!(accounting.figures().answered, 4);
}

#[test]
fn when_a_nas_begins_or_ends_what_it_handed_out_is_over() {
    let began = began();
    let dir = tempfile::tempdir().unwrap();
    let ledger = dir.path().join("ledger");
    let dialects = Dialects::built_in();
    // RFC 2866 §5.1: 7 is Accounting-On, 8 Accounting-Off.
    for (round, status) in [(0, 8), (1, 7)] {
        let options = Options {
            collects: true,
            ..Options::default()
        };
        let (writer, _) = Writer::open(&ledger, options).unwrap();
        let settings = Settings {
            listeners: Vec::new(),
            roster: Roster::everybody(Telling::default()),
            dialects: &dialects,
            rejects: None,
        };
        let collector = Collector::open(settings, writer, CommitOptions::default()).unwrap();
        let accounting = accounting(dir.path());
        let to = accounting.address().unwrap();
        let began = began + 1_000 * i64::from(round);
        thread::scope(|scope| {
            let running =
                scope.spawn(|| accounting.run(Some(&collector), |error| panic!("{error}")));
            let told = |identifier, status, at, more: &[_]| {
                ask(to, &request_with(identifier, status, at, &secret(), more))
            };
            let first = 10 * round;
            assert_eq!(told(first, 1, began, &[range(1)]), Some([5, first]));
            let over = told(first + 1, status, began + 60, &[]);
            assert_eq!(over, Some([5, first + 1]));
            // It was answered, so it is there.
            let ledger = Ledger::read(&ledger).unwrap();
            let nemo = Subscriber::new(Realm::default(), IpAddr::from([100, 64, 3, 9]));
            let from = Timestamp::from_secs(began);
            let held = ledger.by_subscriber(&nemo, Span::new(from, Timestamp::MAX));
            let ends: Vec<_> = held.unwrap().iter().map(|held| held.to).collect();
            assert_eq!(ends, [Some(Timestamp::from_secs(began + 60))]);
            accounting.stop();
            running.join().unwrap().unwrap();
        });
        collector.close().unwrap();
    }
}

#[test]
fn what_is_answered_is_known_and_only_who_knows_the_secret_is_answered() {
    let began = began();
    let dir = tempfile::tempdir().unwrap();
    let accounting = accounting(dir.path());
    let to = accounting.address().unwrap();
    thread::scope(|scope| {
        let running = scope.spawn(|| accounting.run(None, |error| panic!("{error}")));
        let start = request(1, 1, began, &secret());
        assert_eq!(ask(to, &start), Some([5, 1]));
        // The answer was lost: it comes again, and is answered again.
        assert_eq!(ask(to, &start), Some([5, 1]));
        assert_eq!(
            ask(to, &request(2, 2, began + 3_600, &secret())),
            Some([5, 2])
        );
        let stranger = Secret::new(b"guess").unwrap();
        assert_eq!(ask(to, &request(3, 1, began, &stranger)), None);
        assert_eq!(ask(to, b"no packet"), None);
        accounting.stop();
        running.join().unwrap().unwrap();
    });
    let figures = accounting.figures();
    assert_eq!((figures.requests, figures.answered), (3, 3));
    assert_eq!((figures.refused, figures.unverified), (0, 2));
    let internal: IpAddr = [100, 64, 3, 9].into();
    let subscriber = Subscriber::new(Realm::default(), internal);
    let named = |at: i64| {
        let at = Timestamp::from_secs(at);
        let span = Span::new(at, at.after(Duration::from_secs(1)));
        let found = store(dir.path()).at(&subscriber, span).unwrap();
        let ids = found.iter().map(|it| it.customer().id().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(named(began + 1_800), ["nemo"]);
    assert_eq!(named(began - 60), [""; 0]);
    assert_eq!(named(began + 3_700), [""; 0]);
}
