//! RADIUS accounting, against what its RFCs say and print.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use portledger_model::{PortRange, Realm, Subscriber, Timestamp, Transport};
use portledger_wire::{
    EventTime, Holding, Kind, NatEvent, Phase, Told,
    radius::{
        AttributeError, Framed, IpPortsError, Packet, PacketError, Request, Secret, Status,
        Unverified,
    },
};

const SECRET: &[u8] = b"xyzzy5461";

fn secret() -> Secret {
    Secret::new(SECRET).unwrap()
}

/// Attributes as they are on the wire.
fn attributes(all: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, value) in all {
        bytes.extend_from_slice(&[*kind, u8::try_from(value.len() + 2).unwrap()]);
        bytes.extend_from_slice(value);
    }
    bytes
}

/// An Accounting-Request of these attributes, signed by other code than ours (RFC 2866 §3).
fn request(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + body.len()).unwrap().to_be_bytes();
    let mut packet = [&[4, 7], &length[..], &[0; 16], body].concat();
    let made = Md5::digest([&packet[..], SECRET].concat());
    packet[4..20].copy_from_slice(&made);
    packet
}

fn verified(datagram: &[u8]) -> Request<'_> {
    Packet::parse(datagram).unwrap().verify(&secret()).unwrap()
}

const START: (u8, &[u8]) = (40, &[0, 0, 0, 1]);

#[test]
fn every_attribute_that_names_somebody_is_read() {
    let v6 = |last: u8| [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[last]].concat();
    let prefix = [&[0, 56, 0x20, 1, 0x0d, 0xb8][..], &[0, 0, 1]].concat();
    let datagram = request(&attributes(&[
        (1, b"nemo"),
        (4, &[192, 0, 2, 1]),
        (8, &[100, 64, 3, 9]),
        (25, b"gold"),
        (26, &[0, 0, 13, 233, 1, 6, b'o', b'l', b't', b'1', 2, 3, 9]),
        (31, b"00-00-5E-00-53-AF"),
        (32, b"bng1"),
        (40, &[0, 0, 0, 3]),
        (41, &[0, 0, 0, 5]),
        (44, b"0017"),
        (46, &[0, 0, 1, 0]),
        (50, b"m1"),
        (55, &[0x6b, 0, 0, 0]),
        (87, b"eth 0/1"),
        (97, &[0, 64, 0x20, 1, 0x0d, 0xb8, 0, 7, 0, 0]),
        (123, &prefix),
        (168, &v6(9)),
    ]));
    let told = verified(&datagram).accounting().unwrap();
    assert_eq!(told.status, Status::InterimUpdate);
    assert_eq!(told.nas.identifier.as_deref(), Some("bng1"));
    assert_eq!(told.nas.address, Some([192, 0, 2, 1].into()));
    assert_eq!(told.session_id.as_deref(), Some("0017"));
    assert_eq!(told.multi_session_id.as_deref(), Some("m1"));
    assert_eq!(told.delay, Duration::from_secs(5));
    assert_eq!(told.session_time, Some(Duration::from_secs(256)));
    let at = Timestamp::from_secs(0x6b00_0000);
    assert_eq!(told.at(Timestamp::EPOCH), at);
    let who = &told.who;
    assert_eq!(who.user_name.as_deref(), Some("nemo"));
    assert_eq!(who.class.as_deref(), Some("gold"));
    assert_eq!(who.calling_station_id.as_deref(), Some("00-00-5E-00-53-AF"));
    assert_eq!(who.nas_port_id.as_deref(), Some("eth 0/1"));
    assert_eq!(who.circuit_id.as_deref(), Some("olt1"));
    assert_eq!(who.remote_id.as_deref(), Some("0x09"));
    let framed = |text: &str, length| Framed {
        address: text.parse().unwrap(),
        length,
    };
    assert_eq!(
        told.framed,
        [
            framed("100.64.3.9", 32),
            framed("2001:db8:7::", 64),
            framed("2001:db8:0:100::", 56),
            framed("2001:db8::9", 128),
        ]
    );
}

#[test]
fn a_request_without_a_time_happened_before_its_receipt_by_its_delay() {
    let datagram = request(&attributes(&[START, (41, &[0, 0, 0, 30])]));
    let told = verified(&datagram).accounting().unwrap();
    let at = told.at(Timestamp::from_secs(1_000));
    assert_eq!(at, Timestamp::from_secs(970));
}

#[test]
fn values_that_are_none_are_refused() {
    let read = |all: &[(u8, &[u8])]| verified(&request(&attributes(all))).accounting();
    assert_eq!(read(&[]), Err(AttributeError::NoStatus));
    let value = |kind, bytes| Err(AttributeError::Value { kind, bytes });
    assert_eq!(read(&[START, (8, &[1, 2, 3])]), value(8, 3));
    assert_eq!(read(&[START, (1, b"")]), value(1, 0));
    // Longer than its address, longer than there is, bits behind the length.
    assert_eq!(read(&[START, (97, &[0, 129, 1])]), value(97, 3));
    assert_eq!(read(&[START, (97, &[0, 64, 0x20])]), value(97, 3));
    assert_eq!(read(&[START, (123, &[0, 7, 0x21])]), value(123, 3));
    assert_eq!(read(&[START, (123, &[0; 19])]), value(123, 19));
    assert_eq!(
        read(&[START, (44, b"1"), (44, b"2")]),
        Err(AttributeError::Twice { kind: 44 })
    );
    // RFC 2865 §5.8: these ask for an address.
    for asks in [[255, 255, 255, 255], [255, 255, 255, 254], [0; 4]] {
        assert!(read(&[START, (8, &asks)]).unwrap().framed.is_empty());
    }
}

#[test]
fn another_secret_or_another_code_is_not_believed() {
    let datagram = request(&attributes(&[START]));
    let other = Secret::new(b"other").unwrap();
    let packet = Packet::parse(&datagram).unwrap();
    assert_eq!(packet.verify(&other), Err(Unverified::Authenticator));
    let mut access = datagram.clone();
    access[0] = 1;
    let access = Packet::parse(&access).unwrap();
    assert_eq!(access.verify(&secret()), Err(Unverified::Code(1)));
    assert!(Secret::new(b"").is_err());
}

#[test]
fn a_message_authenticator_is_checked_where_there_is_one() {
    // RFC 3579 §3.2, with zeros for the Request Authenticator as in RFC 5176 §3.3.
    let body = |code: &[u8]| attributes(&[(1, b"nemo"), (80, code), START]);
    let unsigned = body(&[0; 16]);
    let length = u16::try_from(20 + unsigned.len()).unwrap().to_be_bytes();
    let mut mac = Hmac::<Md5>::new_from_slice(SECRET).unwrap();
    mac.update(&[&[4, 7], &length[..], &[0; 16], &unsigned].concat());
    let code = mac.finalize().into_bytes();
    let good = request(&body(&code));
    assert!(verified(&good).accounting().is_ok());

    let refused = |body: &[u8]| {
        let datagram = request(body);
        let packet = Packet::parse(&datagram).unwrap();
        packet.verify(&secret()).unwrap_err()
    };
    let at = Unverified::MessageAuthenticator { at: 27 };
    assert_eq!(refused(&body(&[9; 16])), at);
    assert_eq!(refused(&body(&code[..15])), at);
    let twice = [body(&code), attributes(&[(80, &code)])].concat();
    assert_eq!(refused(&twice), at);
}

#[test]
fn the_response_has_its_authenticator_and_each_proxy_state() {
    let datagram = request(&attributes(&[(33, b"one"), START, (33, b"two")]));
    let response = verified(&datagram).response(&secret());
    let states = attributes(&[(33, b"one"), (33, b"two")]);
    assert_eq!(response[..4], [5, 7, 0, 30]);
    assert_eq!(response[20..], states);
    // RFC 2866 §3: over the response with the request's authenticator.
    let signed = [&response[..4], &datagram[4..20], &states, SECRET].concat();
    assert_eq!(response[4..20], Md5::digest(&signed)[..]);
    assert!(Packet::parse(&response).is_ok());
}

#[test]
fn padding_is_ignored_and_every_cut_is_refused() {
    let whole = request(&attributes(&[(1, b"nemo"), START]));
    let padded = [&whole[..], b"padding"].concat();
    assert_eq!(Packet::parse(&padded).unwrap().bytes(), whole);
    for length in 0..whole.len() {
        assert!(Packet::parse(&whole[..length]).is_err(), "{length}");
    }
}

#[test]
fn lengths_that_lie_are_refused() {
    let whole = request(&attributes(&[(1, b"nemo"), START]));
    let told = |length: u16| {
        let mut lying = whole.clone();
        lying[2..4].copy_from_slice(&length.to_be_bytes());
        lying.resize(5_000, 0);
        Packet::parse(&lying).map(|packet| packet.bytes().len())
    };
    for length in [0, 19, 4_097, 65_535] {
        let error = PacketError::Length {
            told: length.into(),
            found: 5_000,
        };
        assert_eq!(told(length), Err(error));
    }
    assert_eq!(told(21), Err(PacketError::Cut { at: 21 }));
    for length in [0, 1, 200] {
        let mut lying = whole.clone();
        lying[21] = length;
        let error = PacketError::Attribute {
            at: 21,
            told: length,
            left: 12,
        };
        assert_eq!(Packet::parse(&lying), Err(error));
    }
}

/// Type, extended type and value, or where an attribute is that is none.
type Extended = Result<(u8, u8, Vec<u8>), usize>;

/// The extended attributes of a body.
fn extended(body: &[u8]) -> Vec<Extended> {
    let datagram = request(body);
    let packet = Packet::parse(&datagram).unwrap();
    let all = packet.extended().into_iter();
    all.map(|it| {
        it.map(|it| (it.kind, it.extended, it.value.into_owned()))
            .map_err(|error| error.at)
    })
    .collect()
}

#[test]
fn the_examples_of_rfc_6929_are_read() {
    // §10: 241.1 "bob", 241.2 with two parts, 245.1 "bob".
    let body = [
        0xf1, 0x06, 0x01, 0x62, 0x6f, 0x62, //
        0xf1, 0x0b, 0x02, 0x01, 0x04, 0x23, 0x45, 0x02, 0x04, 0x67, 0x89, //
        0xf5, 0x07, 0x01, 0x00, 0x62, 0x6f, 0x62,
    ];
    let parts = vec![0x01, 0x04, 0x23, 0x45, 0x02, 0x04, 0x67, 0x89];
    assert_eq!(
        extended(&body),
        [
            Ok((241, 1, b"bob".to_vec())),
            Ok((241, 2, parts)),
            Ok((245, 1, b"bob".to_vec())),
        ]
    );
    // §10: 245.4 of 251 bytes 0xaa and what is left over.
    let fragments = [
        &[0xf5, 0xff, 0x04, 0x80][..],
        &[0xaa; 251],
        &[0xf5, 0x13, 0x04, 0x00],
        &[0xcc; 15],
    ]
    .concat();
    let value = [&[0xaa; 251][..], &[0xcc; 15]].concat();
    assert_eq!(extended(&fragments), [Ok((245, 4, value))]);
}

#[test]
fn fragments_that_do_not_go_together_are_refused_alone() {
    let begun = [0xf5, 0x05, 0x04, 0x80, 0xaa];
    let good = [0xf1, 0x04, 0x01, 0x62];
    let ends = [0xf5, 0x05, 0x04, 0x00, 0xbb];
    let ended = Ok((245, 4, vec![0xbb]));
    let interrupted = [&begun[..], &good, &ends].concat();
    assert_eq!(
        extended(&interrupted),
        [Err(21), Ok((241, 1, vec![0x62])), ended]
    );
    assert_eq!(extended(&begun), [Err(21)]);
    assert_eq!(extended(&[0xf5, 0x03, 0x01]), [Err(21)]);
    assert_eq!(extended(&[0xf1, 0x02]), [Err(21)]);
}

/// An IP-Port-Range (241.6) of these parts: TLV-Type and number, or four octets of an address.
fn range(parts: &[(u8, [u8; 4])]) -> Vec<u8> {
    let mut value = vec![6];
    for (kind, octets) in parts {
        value.extend_from_slice(&[*kind, 6]);
        value.extend_from_slice(octets);
    }
    attributes(&[(241, &value)])
}

fn event(body: &[u8]) -> Result<NatEvent, IpPortsError> {
    event_of(&[(8, &[100, 64, 3, 9])], body)
}

/// The event in a packet of a session that has these addresses.
fn event_of(framed: &[(u8, &[u8])], body: &[u8]) -> Result<NatEvent, IpPortsError> {
    let base = attributes(&[&[START, (55, &[0, 0, 3, 232])], framed].concat());
    let datagram = request(&[&base, body].concat());
    let request = verified(&datagram);
    let accounting = request.accounting().unwrap();
    let ports = request.ports().remove(0)?;
    ports.event(&accounting, Timestamp::from_secs(1_005), &Realm::default())
}

#[test]
fn a_port_range_is_handed_out_and_given_back() {
    // RFC 8045 §3.2.3, §3.2.8 to §3.2.10: the shared address, what happens, first and last port.
    let parts = |what: u8| {
        [
            (3, [203, 0, 113, 7]),
            (8, [0, 0, 0, what]),
            (9, [0, 0, 4, 0]),
            (10, [0, 0, 5, 255]),
        ]
    };
    let expected = |phase, transport| NatEvent {
        at: EventTime::Told(Timestamp::from_secs(1_000)),
        told: Told::Ports(Holding {
            phase,
            kind: Kind::Block,
            subscriber: Some(Subscriber::new(Realm::default(), [100, 64, 3, 9].into())),
            external: [203, 0, 113, 7].into(),
            ports: PortRange::new(1_024, 1_535).unwrap(),
            transport,
            since: None,
        }),
    };
    assert_eq!(event(&range(&parts(1))), Ok(expected(Phase::Begun, None)));
    let udp = [&parts(2)[..], &[(1, [0, 0, 0, 17])]].concat();
    let ended = expected(Phase::Ended, Some(Transport::Udp));
    assert_eq!(event(&range(&udp)), Ok(ended));
}

#[test]
fn a_port_range_is_whose_address_or_only_prefix_the_session_has() {
    let parts = [
        (3, [203, 0, 113, 7]),
        (8, [0, 0, 0, 1]),
        (9, [0, 0, 4, 0]),
        (10, [0, 0, 5, 255]),
    ];
    // RFC 4818 §3 and RFC 3162 §2.3.
    let delegated: (u8, &[u8]) = (123, &[0, 56, 0x20, 1, 0xd, 0xb8, 0, 0, 1]);
    let framed: (u8, &[u8]) = (97, &[0, 64, 0x20, 1, 0xd, 0xb8, 0, 1, 0, 2]);
    let ipv4: (u8, &[u8]) = (8, &[100, 64, 3, 9]);
    let told = |framed: &[(u8, &[u8])]| match event_of(framed, &range(&parts))?.told {
        Told::Ports(holding) => Ok(holding.subscriber.unwrap().internal().to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&[delegated]).unwrap(), "2001:db8:0:100::/56");
    assert_eq!(told(&[framed]).unwrap(), "2001:db8:1:2::/64");
    assert_eq!(told(&[delegated, ipv4]).unwrap(), "100.64.3.9");
    // Of two nobody knows which it is.
    assert_eq!(told(&[delegated, framed]), Err(IpPortsError::NoSubscriber));
}

#[test]
fn a_port_range_that_says_too_little_is_no_event() {
    let external = (3, [203, 0, 113, 7]);
    let (first, last) = ((9, [0, 0, 4, 0]), (10, [0, 0, 3, 0]));
    let told = |parts: &[(u8, [u8; 4])]| event(&range(parts)).unwrap_err();
    assert_eq!(told(&[external]), IpPortsError::NoAllocation);
    assert_eq!(told(&[external, (8, [0, 0, 0, 2])]), IpPortsError::AllPorts);
    assert_eq!(told(&[external, (8, [0, 0, 0, 1])]), IpPortsError::Ports);
    let backwards = [external, (8, [0, 0, 0, 1]), first, last];
    assert_eq!(told(&backwards), IpPortsError::Ports);
    let ports = [(8, [0, 0, 0, 1]), first, (10, [0, 0, 4, 9])];
    assert_eq!(told(&ports), IpPortsError::NoExternal);
    let sctp = [&ports[..], &[external, (1, [0, 0, 0, 132])]].concat();
    assert_eq!(told(&sctp), IpPortsError::Protocol(132));
    let part = |part| IpPortsError::Part {
        at: 39,
        extended: 6,
        part,
    };
    assert_eq!(told(&[(8, [0, 0, 0, 3])]), part(8));
    assert_eq!(told(&[(9, [0, 1, 0, 0])]), part(9));
    let cut = attributes(&[(241, &[6, 8, 7, 0, 0, 0, 1])]);
    let length = IpPortsError::Length {
        at: 39,
        extended: 6,
    };
    assert_eq!(event(&cut), Err(length));
    // An IP-Port-Limit-Info (241.5).
    let limit = attributes(&[(241, &[5, 2, 6, 0, 0, 1, 0])]);
    assert_eq!(event(&limit), Err(IpPortsError::NoRange));
}
