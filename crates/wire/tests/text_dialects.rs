//! Each built-in dialect against samples of it: `data/*.log`, whose first line says where they come
//! from. The snapshots say what comes of each line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fmt::Write, fs, path::Path};

use jiff::tz::TimeZone;
use portledger_model::Subscriber;
use portledger_wire::{
    EventTime, Holding, Kind, NatEvent, Told,
    dialect::{Dialects, Outcome, Reader, Untimed},
    syslog::Clock,
};

/// Which dialect each sample is in.
const SAMPLES: &[(&str, &str)] = &[
    ("juniper-srx-mx-pba-structured", "juniper"),
    ("juniper-mx-rt_nat-text", "juniper"),
    ("juniper-mx-jservices-nat", "juniper"),
    ("cisco-iosxr-cgn-bulk-port", "cisco-ios-xr"),
    ("cisco-iosxe-hsl-log_translation", "cisco-ios"),
    ("huawei-ne-nat444-type3", "nat444"),
    ("a10-thunder-cef", "a10"),
    ("a10-thunder-ascii", "a10"),
    ("f5-bigip-lsn", "f5"),
    ("f5-bigip-lsndb-pba", "f5"),
    ("nfware-vcgnat", "nfware"),
    ("6wind-fp-cgnat", "sixwind"),
    ("mikrotik-routeros", "mikrotik"),
    ("vpp-nat-syslog-rfc5424", "vpp"),
    ("vyos-cgnat", "vyos"),
    ("linux-conntrack-extended-id", "conntrack"),
    ("linux-conntrack-list", "conntrack"),
    ("linux-conntrack-timestamp", "conntrack"),
    ("linux-conntrack-syslog", "conntrack"),
    ("linux-nft-log", "netfilter-log"),
    ("linux-ulogd2-nfct", "ulogd"),
    ("cisco-asa", "cisco-asa"),
    ("cisco-ios", "cisco-ios"),
    ("cisco-ios-xr-several", "cisco-ios-xr"),
    ("nat444-others", "nat444"),
    ("f5-composed", "f5"),
    ("fortinet", "fortinet"),
    ("nokia", "nokia"),
    ("netscaler", "netscaler"),
    ("juniper-more", "juniper"),
    ("jool", "jool"),
];

fn clock() -> Clock {
    Clock::new("2026-11-21T12:00:00Z".parse().unwrap()).in_zone(TimeZone::UTC)
}

fn sample(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.log"));
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split(|&b| b == b'\n')
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .map(<[u8]>::to_vec)
        .collect()
}

/// What comes of each line, a line each. A time in parentheses is the message's; that of a line
/// without any is when it was received.
fn told(dialect: &str, lines: &[Vec<u8>]) -> String {
    let dialects = Dialects::built_in();
    let dialect = dialects.get(dialect).expect(dialect);
    let mut reader = Reader::new(dialect, clock()).untimed(Untimed::Received);
    let mut text = String::new();
    for (line, number) in lines.iter().zip(1..) {
        let mut events = Vec::new();
        let outcome = reader.read(line, &mut events);
        for event in &events {
            writeln!(text, "{number}: {}", shown(event)).unwrap();
        }
        match outcome {
            Outcome::Events(count) => assert_eq!(count, events.len()),
            Outcome::Nothing(why) => writeln!(text, "{number}: nothing: {why}").unwrap(),
            Outcome::Rejected(rejection) => {
                writeln!(text, "{number}: rejected: {rejection}").unwrap();
            }
        }
    }
    text
}

fn shown(event: &NatEvent) -> String {
    let at = match event.at {
        EventTime::Told(at) => at.to_string(),
        EventTime::Message(at) => format!("({at})"),
        EventTime::Late { told, sent } => format!("{told} (sent {sent})"),
    };
    let told = match &event.told {
        Told::Ports(holding) => holding_shown(holding),
        Told::Address {
            phase,
            subscriber,
            external,
        } => format!(
            "{phase:?} address {external} of {}",
            whose(Some(subscriber))
        ),
        other => format!("{other:?}"),
    };
    format!("{at} {told}")
}

fn holding_shown(holding: &Holding) -> String {
    let Holding {
        phase,
        kind,
        subscriber,
        external,
        ports,
        transport,
        since,
    } = holding;
    let mut text = format!("{phase:?} ");
    let port = |port: &Option<u16>| port.map_or("?".to_owned(), |port| port.to_string());
    match kind {
        Kind::Block => text += "block",
        Kind::Mapping { internal_port } => {
            write!(text, "mapping from {}", port(internal_port)).unwrap();
        }
        Kind::Session {
            internal_port,
            destination,
        } => {
            write!(text, "session from {}", port(internal_port)).unwrap();
            if let Some(destination) = destination {
                write!(text, " to {destination}").unwrap();
            }
        }
    }
    write!(text, " at {external}:{ports}").unwrap();
    if let Some(transport) = transport {
        write!(text, " {transport}").unwrap();
    }
    write!(text, " of {}", whose(subscriber.as_ref())).unwrap();
    if let Some(since) = since {
        write!(text, " since {since}").unwrap();
    }
    text
}

fn whose(subscriber: Option<&Subscriber>) -> String {
    subscriber.map_or("?".to_owned(), |subscriber| {
        format!("{}/{}", subscriber.realm(), subscriber.internal())
    })
}

#[test]
fn samples_are_read_as_they_are_meant() {
    for (sample_name, dialect) in SAMPLES {
        insta::assert_snapshot!(*sample_name, told(dialect, &sample(sample_name)));
    }
}

#[test]
fn every_sample_is_guessed_by_its_dialect() {
    let dialects = Dialects::built_in();
    for (sample_name, dialect) in SAMPLES {
        let lines = sample(sample_name);
        let guesses = dialects.guess(lines.iter().map(Vec::as_slice));
        let first = guesses
            .first()
            .unwrap_or_else(|| panic!("{sample_name}: no guess"));
        assert_eq!(first.dialect.name(), *dialect, "{sample_name}: {first:?}");
    }
}
