//! What other collectors get wrong with lines of text, and what devices leave out: each is a test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jiff::tz::TimeZone;
use portledger_wire::{
    EventTime, Holding, Kind, NatEvent, Phase, Told,
    dialect::{Dialect, Dialects, Outcome, Reader, Reason, Untimed},
    syslog::{Clock, TimeError},
};

const RECEIVED: &str = "2026-11-21T12:00:00Z";

fn without_zone() -> Clock {
    Clock::new(RECEIVED.parse().unwrap())
}

fn utc() -> Clock {
    without_zone().in_zone(TimeZone::UTC)
}

fn read(dialect: &str, clock: Clock, line: &str) -> Result<Vec<NatEvent>, Reason> {
    let dialects = Dialects::built_in();
    read_by(dialects.get(dialect).expect(dialect), clock, line)
}

fn read_by(dialect: &Dialect, clock: Clock, line: &str) -> Result<Vec<NatEvent>, Reason> {
    let mut events = Vec::new();
    match Reader::new(dialect, clock).read(line.as_bytes(), &mut events) {
        Outcome::Rejected(rejection) => Err(rejection.reason),
        Outcome::Nothing(_) | Outcome::Events(_) => Ok(events),
    }
}

fn holding(events: &[NatEvent]) -> &Holding {
    match events {
        [
            NatEvent {
                told: Told::Ports(holding),
                ..
            },
        ] => holding,
        other => panic!("{other:?}"),
    }
}

const INTERIM: &str = r#"<14>1 2026-11-22T09:00:00Z srx RT_NAT - RT_SRC_NAT_PBA_INTERIM [junos@2636.1.1.1.2.129 internal-ip="100.64.0.10" block-used="1" block-max-per-host="4" block-port-low="48640" block-port-high="48895" reflexive-ip="203.0.113.172" nat-pool-name="guest" logical-system-id="0" epoch-time-64="6a60b9e0"]"#;

/// cgn-ec's handler takes RT_FLOW only, and block lines fall through.
#[test]
fn block_lines_of_juniper_do_not_fall_through() {
    let line = INTERIM.replace("INTERIM", "ALLOC");
    let events = read("juniper", without_zone(), &line).unwrap();
    assert_eq!(holding(&events).ports.to_string(), "48640-48895");
}

/// cgn-ec takes the destination's address for the external port.
#[test]
fn the_external_port_is_the_translated_source_port() {
    let line = r#"<14>1 2026-11-21T09:00:00Z srx RT_FLOW - RT_FLOW_SESSION_CREATE [junos@2636 source-address="100.64.0.10" source-port="46776" destination-address="198.51.100.162" destination-port="80" nat-source-address="203.0.113.172" nat-source-port="53328" nat-destination-address="198.51.100.162" nat-destination-port="8080" protocol-id="6"]"#;
    let events = read("juniper", without_zone(), line).unwrap();
    let holding = holding(&events);
    assert_eq!(holding.external.to_string(), "203.0.113.172");
    assert_eq!(holding.ports.to_string(), "53328");
    let destination = Some("198.51.100.162:8080".parse().unwrap());
    assert!(matches!(holding.kind, Kind::Session { destination: d, .. } if d == destination));
}

/// Juniper's interim records, daily by default, are what repairs a lost allocation.
#[test]
fn an_interim_record_says_since_when() {
    let events = read("juniper", without_zone(), INTERIM).unwrap();
    let holding = holding(&events);
    assert_eq!(holding.phase, Phase::Held);
    let since = holding.since.unwrap().to_string();
    assert_eq!(since, "2026-07-22T12:38:56.000Z");
    let at = "2026-11-22T09:00:00Z".parse().unwrap();
    assert_eq!(events[0].at, EventTime::Message(at));
}

/// By release of the software, a RELEASE has the allocation's time or its own.
#[test]
fn a_release_that_repeats_the_time_of_the_allocation_is_not_taken_for_its_end() {
    let line = "2026-07-19 17:02:41: CGN{SET}[jservices-nat]: JSERVICES_NAT_PORT_BLOCK_RELEASE: 10.20.0.5 -> 203.0.113.7:1024-1151 0x6a5cf0de";
    let events = read("juniper", utc(), line).unwrap();
    assert_eq!(
        events[0].at.timestamp().to_string(),
        "2026-07-19T17:02:41.000Z"
    );
    let since = holding(&events).since.unwrap().to_string();
    assert_eq!(since, "2026-07-19T15:44:30.000Z");
    // Without the zone nobody can tell which of the two it is.
    let error = read("juniper", without_zone(), line).unwrap_err();
    assert_eq!(error, Reason::Time(TimeError::NoZone));
}

/// nft's log and the LOG target in POSTROUTING are often called a NAT log.
#[test]
fn a_log_without_the_translated_port_is_refused_with_the_reason() {
    let line = "Nov 21 07:59:30 vm CGN-SNAT:  IN=n0 OUT=n1 MAC=de:d7 SRC=100.64.0.10 DST=198.51.100.80 LEN=60 PROTO=TCP SPT=54176 DPT=80 SYN";
    let error = read("netfilter-log", utc(), line).unwrap_err().to_string();
    assert!(
        error.contains("the translated port is not in the record"),
        "{error}"
    );
}

/// Huawei's type 3, Cisco's IOS XR, H3C and Nokia's header have none.
#[test]
fn a_time_without_a_zone_needs_the_devices_zone() {
    let line = "<134>1 2020 Jan 17 11:05:55 192.0.2.1 test - NAT444:SessionbasedA [17 100.64.1.2 - 203.0.113.1 0 1025 -]";
    let error = read("nat444", without_zone(), line).unwrap_err();
    assert_eq!(error, Reason::Time(TimeError::NoZone));
    let east = without_zone().in_zone(TimeZone::fixed(jiff::tz::offset(8)));
    let events = read("nat444", east, line).unwrap();
    assert_eq!(
        events[0].at.timestamp().to_string(),
        "2020-01-17T03:05:55.000Z"
    );
}

/// A10's records, and many others, have the header's time only.
#[test]
fn a_time_of_the_header_is_told_as_such() {
    let line = "Oct 12 09:04:54 PortBatchV2Allocated: [100.121.0.10 203.0.113.9 23041 23552]";
    let events = read("a10", utc(), line).unwrap();
    let at = "2026-10-12T09:04:54Z".parse().unwrap();
    assert_eq!(events[0].at, EventTime::Message(at));
}

#[test]
fn a_line_without_any_time_is_refused_unless_it_comes_as_it_is_sent() {
    let line = b"A VRF 0 INT 100.64.0.1 EXT 203.0.113.1:1024-1535";
    let dialects = Dialects::built_in();
    let mut reader = Reader::new(dialects.get("nfware").unwrap(), utc());
    let mut events = Vec::new();
    let outcome = reader.read(line, &mut events);
    assert!(matches!(outcome, Outcome::Rejected(ref r) if r.reason == Reason::NoTime));
    let mut reader = reader.untimed(Untimed::Received);
    assert_eq!(reader.read(line, &mut events), Outcome::Events(1));
    assert_eq!(events[0].at, EventTime::Message(RECEIVED.parse().unwrap()));
}

/// Dates that are not zero-padded, seen in other NATs.
#[test]
fn a_day_of_one_digit_is_a_day() {
    for day in ["Nov  1", "Nov 1", "Nov 01"] {
        let line = format!("{day} 09:04:54 PortBatchV2Freed: [100.64.0.10 203.0.113.9 1024 1535]");
        let events = read("a10", utc(), &line).unwrap();
        assert_eq!(
            events[0].at.timestamp().to_string(),
            "2026-11-01T09:04:54.000Z"
        );
    }
}

/// A clock that was never set, and a stamp that cannot be.
#[test]
fn an_absurd_time_is_rejected() {
    let line = |stamp: &str| {
        format!(
            "CGN{{S}}[jservices-nat]: JSERVICES_NAT_PORT_BLOCK_ALLOC: 10.20.0.5 -> 203.0.113.7:1024-1151 0x{stamp}"
        )
    };
    for stamp in ["7a5cf0de", "3c", "ffffffffff"] {
        let error = read("juniper", utc(), &line(stamp)).unwrap_err();
        assert_eq!(error, Reason::Unlikely, "{stamp}");
    }
    // Fast by some hours, or in a zone that was set wrongly.
    assert!(read("juniper", utc(), &line("6a60b9e0")).is_ok());
    let header = "Mar 01 1993 00:00:12 h PortBatchV2Freed: [100.64.0.10 203.0.113.9 1024 1535]";
    assert_eq!(read("a10", utc(), header), Err(Reason::Unlikely));
}

#[test]
fn all_records_of_a_line_are_read() {
    let line = "1 2026 Nov 21 08:00:00 192.0.2.1 - - NAT44 - [UserbasedA - 100.64.1.2 VRF - 203.0.113.1 - 1024 1535][UserbasedW - 100.64.1.3 VRF - 203.0.113.1 - 1536 2047]";
    assert_eq!(read("cisco-ios-xr", utc(), line).unwrap().len(), 2);
}

/// Cisco tells start, step and count, and no end: nfdump then finds nothing and does not say so.
#[test]
fn ports_are_told_by_first_and_count_as_well() {
    let dialect = |pattern: &str| {
        let file = format!(
            "name = \"x\"\nabout = \"x\"\n[[message]]\nis = \"x\"\nevent = \"block\"\nphase = \"begun\"\npattern = \"{pattern}\""
        );
        Dialect::parse("x.toml", &file).unwrap()
    };
    let counted = dialect("pb {internal} {external} {first} +{count} /{step} {time:epoch}");
    let read = |rest: &str| {
        let line = format!("pb 100.64.0.1 203.0.113.1 {rest} 1795247969");
        read_by(&counted, without_zone(), &line)
    };
    assert_eq!(
        holding(&read("1024 +512 /1").unwrap()).ports.to_string(),
        "1024-1535"
    );
    assert_eq!(read("1024 +512 /2"), Err(Reason::Scattered));
    assert_eq!(read("1024 +0 /1"), Err(Reason::NoPorts));
    assert_eq!(read("65535 +2 /1"), Err(Reason::BeyondTheLastPort));
    let both = dialect("pb {internal} {external} {first}-{last} +{count} {time:epoch}");
    let line = "pb 100.64.0.1 203.0.113.1 1024-1535 +256 1795247969";
    assert_eq!(
        read_by(&both, without_zone(), line),
        Err(Reason::CountDisagrees)
    );
    let line = "pb 100.64.0.1 203.0.113.1 1535-1024 +1 1795247969";
    assert!(read_by(&both, without_zone(), line).is_err());
}

/// One subscriber would become another's neighbour if two realms became one.
#[test]
fn a_realm_is_kept_as_told_or_refused() {
    let line = |realm: &str| {
        format!("Nov 21 08:00:00 h A VRF {realm} INT 100.64.0.1 EXT 203.0.113.1:1024-1535")
    };
    let realm = |name: &str| {
        let events = read("nfware", utc(), &line(name))?;
        let subscriber = holding(&events).subscriber.clone().unwrap();
        Ok::<_, Reason>(subscriber.realm().to_string())
    };
    assert_eq!(realm("0").unwrap(), "default");
    assert_eq!(realm("17").unwrap(), "17");
    assert_eq!(realm("west/1"), Err(Reason::Realm));
}

/// A connection table lists what was not translated, too.
#[test]
fn an_untranslated_connection_is_no_event() {
    let line = "[1795247969.213692]\t    [NEW] tcp      6 120 SYN_SENT src=100.64.0.10 dst=198.51.100.80 sport=54176 dport=80 [UNREPLIED] src=198.51.100.80 dst=100.64.0.10 sport=80 dport=54176";
    assert_eq!(read("conntrack", without_zone(), line), Ok(Vec::new()));
    // Port forwarding: the subscriber is at the other end.
    let line = "[1795247969.213692]\t    [NEW] tcp      6 120 SYN_SENT src=198.51.100.80 dst=203.0.113.5 sport=54176 dport=80 [UNREPLIED] src=100.64.0.10 dst=198.51.100.80 sport=8080 dport=54176";
    assert_eq!(read("conntrack", without_zone(), line), Ok(Vec::new()));
}

#[test]
fn a_transport_without_ports_is_no_event() {
    let line = "[1795247969.213692]\t    [NEW] gre      47 30 src=100.64.0.10 dst=198.51.100.80 srckey=0x0 dstkey=0x1 [UNREPLIED] src=198.51.100.80 dst=203.0.113.5 srckey=0x1 dstkey=0x0";
    assert_eq!(read("conntrack", without_zone(), line), Ok(Vec::new()));
}

#[test]
fn a_line_that_was_cut_short_is_never_of_other_ports_or_another_address() {
    let line = INTERIM.replace("INTERIM", "ALLOC");
    let whole = read("juniper", without_zone(), &line).unwrap();
    let mut rejected = 0;
    for length in 0..line.len() {
        match read("juniper", without_zone(), &line[..length]) {
            Ok(events) if events.is_empty() => {}
            // Behind what matters only the event's own time can be lost, and it is told so.
            Ok(events) => assert_eq!(holding(&events), holding(&whole)),
            Err(_) => rejected += 1,
        }
    }
    assert!(rejected > 100, "{rejected}");
}
