//! RADIUS accounting over a socket: who is known afterwards, and who gets an answer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use portledger_identity::{Store, sessions::Reading};
use portledger_keys::{KeyRing, MasterKey};
use portledger_model::{Realm, Span, Subscriber, Timestamp};
use portledger_service::accounting::{Accounting, Client};
use portledger_wire::radius::{Packet, Secret};

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

#[test]
fn what_is_answered_is_known_and_only_who_knows_the_secret_is_answered() {
    let began = began();
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let path = dir.path().join("master");
        let master = if path.exists() {
            MasterKey::load(&portledger_keys::MasterSource::File(path))
        } else {
            MasterKey::create_file(&path)
        };
        let ring = KeyRing::open(&dir.path().join("keys"), master.unwrap()).unwrap();
        Store::open(&dir.path().join("identities"), ring).unwrap()
    };
    let client = Client {
        from: "127.0.0.0/8".parse().unwrap(),
        secret: secret(),
    };
    let loopback = "127.0.0.1:0".parse().unwrap();
    let reading = Reading::default();
    let accounting = Accounting::bind(loopback, vec![client], reading, open()).unwrap();
    let to = accounting.address().unwrap();
    thread::scope(|scope| {
        let running = scope.spawn(|| accounting.run(|error| panic!("{error}")));
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
        let found = open().at(&subscriber, span).unwrap();
        let ids = found.iter().map(|it| it.customer().id().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(named(began + 1_800), ["nemo"]);
    assert_eq!(named(began - 60), [""; 0]);
    assert_eq!(named(began + 3_700), [""; 0]);
}
