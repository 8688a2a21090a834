//! `portledger import`: another maker's lines, and then who had the ports.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use portledger_model::{PortRange, Realm, Subscriber, Timestamp};
use portledger_wire::{
    EventTime, Holding, Kind, NatEvent, Phase, Told,
    flow::{ExportSettings, Exporter},
};
use support::{
    Ended, Place,
    capture::{at, file_of},
    packet::udp,
};

fn run(place: &Place, args: &str) -> Ended {
    place.run(&args.split(' ').collect::<Vec<_>>())
}

/// 2024-06-01T10:00:00Z, in seconds.
const BEGIN: u64 = 1_717_236_000;

/// A line of Juniper's, `minutes` after the beginning.
fn line(minutes: u64, what: &str, host: u8) -> String {
    let (hour, minute) = (10 + minutes / 60, minutes % 60);
    format!(
        "<14>1 2024-06-01T{hour:02}:{minute:02}:00.000Z mx1 RT_NAT - RT_SRC_NAT_PBA_{what} \
         [internal-ip=\"100.64.1.{host}\" block-used=\"1\" block-max-per-host=\"4\" \
         block-port-low=\"1024\" block-port-high=\"1535\" reflexive-ip=\"203.0.113.7\" \
         nat-pool-name=\"p\" logical-system-id=\"0\" epoch-time-64=\"{:08x}\"]\n",
        BEGIN + minutes * 60
    )
}

/// .5 has the block for an hour, then .6, whose release is lost, then .8, still. One line is cut
/// short, and one is of something else.
fn lines() -> String {
    [
        line(0, "ALLOC", 5),
        line(60, "RELEASE", 5),
        line(62, "ALLOC", 6),
        line(62, "ALLOC", 6)[..150].to_owned() + "\n",
        "<30>1 2024-06-01T11:30:00Z mx1 sshd 7 - - Server listening on :: port 22.\n".into(),
        line(240, "ALLOC", 8),
        line(300, "INTERIM", 8),
    ]
    .concat()
}

const IMPORT: &str = "import mx1.log --device mx1 --ledger ledger --json --rejects rejects.log";

/// The internal addresses that an answer lists.
fn named(place: &Place, at: &str, status: i32) -> Vec<String> {
    let question = format!("who 203.0.113.7:1100 --at {at} --ledger ledger --json");
    let answer = run(place, &question).with_status(status).json();
    let all = answer["allocations"].as_array().unwrap();
    all.iter()
        .map(|held| held["subscriber"]["internal"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn another_makers_lines_name_who_had_the_port() {
    let place = Place::new();
    place.write("mx1.log", lines());
    let ended = run(
        &place,
        &format!("{IMPORT} --complete-from 2024-06-01T10:00:00Z --rejects-are-no-events"),
    );
    let ended = ended.with_status(0);
    let told = ended.json();
    assert_eq!(told["format"], "juniper");
    assert_eq!((&told["events"], &told["rejected"]), (&5.into(), &1.into()));
    assert!(
        ended.stderr.contains("mx1.log:4: byte "),
        "{}",
        ended.stderr
    );
    assert_eq!(
        place.read("rejects.log"),
        lines().lines().nth(3).unwrap().to_owned() + "\n"
    );

    assert_eq!(named(&place, "2024-06-01T10:30:00Z", 0), ["100.64.1.5"]);
    // Between its release and the next allocation nobody had it.
    assert!(named(&place, "2024-06-01T11:01:00Z", 4).is_empty());
    assert_eq!(named(&place, "2024-06-01T12:00:00Z", 0), ["100.64.1.6"]);
    assert_eq!(named(&place, "2024-06-01T14:30:00Z", 0), ["100.64.1.8"]);
    // After its last word nothing is known.
    named(&place, "2024-06-01T20:00:00Z", 5);
}

/// It may have said that somebody else has the ports since.
#[test]
fn a_line_that_was_not_understood_is_a_gap_until_the_next_event() {
    let place = Place::new();
    place.write("mx1.log", lines());
    let import = format!("{IMPORT} --complete-from 2024-06-01T10:00:00Z");
    run(&place, &import).with_status(0);
    assert_eq!(named(&place, "2024-06-01T10:30:00Z", 0), ["100.64.1.5"]);
    assert_eq!(named(&place, "2024-06-01T12:00:00Z", 5), ["100.64.1.6"]);
    assert_eq!(named(&place, "2024-06-01T14:30:00Z", 0), ["100.64.1.8"]);
}

/// Of whom a line is whose header cannot be read nobody can say.
#[test]
fn a_line_of_nobody_in_particular_is_a_gap_of_each_device() {
    let place = Place::new();
    let second = |line: String| line.replace(" mx1 ", " mx2 ").replace("113.7", "113.8");
    let lines = [
        line(0, "ALLOC", 5),
        second(line(0, "ALLOC", 6)),
        "RT_NAT - RT_SRC_NAT_PBA_RELEASE [internal-ip=\"100.64.1.6\"\n".into(),
        line(60, "INTERIM", 5),
        second(line(60, "INTERIM", 6)),
    ];
    place.write("all.log", lines.concat());
    let import = "import all.log --ledger ledger --json --format juniper";
    let told = run(&place, import).with_status(0).json();
    assert_eq!(
        (&told["rejected"], &told["devices"]),
        (&1.into(), &2.into())
    );
    for address in ["203.0.113.7", "203.0.113.8"] {
        let question = format!("who {address}:1100 --at 2024-06-01T10:30:00Z --ledger ledger");
        run(&place, &question).with_status(5);
    }
}

#[test]
fn who_had_a_port_before_it_was_told_of_is_not_known() {
    let place = Place::new();
    place.write("mx1.log", lines());
    let ended = run(&place, IMPORT).with_status(0);
    assert!(ended.stderr.contains("--complete-from"), "{}", ended.stderr);
    assert_eq!(named(&place, "2024-06-01T10:30:00Z", 0), ["100.64.1.5"]);
    assert!(named(&place, "2024-06-01T11:01:00Z", 4).is_empty());
    named(&place, "2024-06-01T09:00:00Z", 5);
    // Of another block the lines say nothing: somebody may have held it all the time.
    let other = "who 203.0.113.7:2000 --at 2024-06-01T10:30:00Z --ledger ledger";
    run(&place, other).with_status(5);
    // Nor do they of all ports of the address.
    let all = "who 203.0.113.7 --at 2024-06-01T10:30:00Z --ledger ledger";
    run(&place, all).with_status(5);
}

#[test]
fn each_host_in_the_lines_is_a_device_of_its_own() {
    let place = Place::new();
    // The other device's release is not mx1's.
    let lines = line(0, "ALLOC", 5) + &line(10, "RELEASE", 5).replace(" mx1 ", " mx2 ");
    place.write("all.log", lines);
    let told = run(&place, "import all.log --ledger ledger --json");
    assert_eq!(told.with_status(0).json()["devices"], 2);
    let stats = run(&place, "stats --ledger ledger --json").json();
    assert_eq!(stats["devices"], serde_json::json!(["mx1", "mx2"]));
}

#[test]
fn what_the_ledger_knows_to_be_held_is_released_by_the_next_file() {
    let place = Place::new();
    let (first, second) = (
        line(0, "ALLOC", 5),
        line(60, "RELEASE", 5) + &line(90, "ALLOC", 6),
    );
    place.write("first.log", first);
    place.write("second.log", second);
    let import = "import --device mx1 --ledger ledger --json";
    run(
        &place,
        &format!("{import} first.log --complete-from 2024-06-01T10:00:00Z"),
    )
    .with_status(0);
    run(
        &place,
        &format!("{import} second.log --complete-from 2024-06-01T10:00:00Z"),
    )
    .with_status(0);
    assert_eq!(named(&place, "2024-06-01T10:30:00Z", 0), ["100.64.1.5"]);
    assert!(named(&place, "2024-06-01T11:10:00Z", 4).is_empty());
}

#[test]
fn between_two_files_there_is_a_gap_unless_somebody_says_otherwise() {
    let place = Place::new();
    place.write("first.log", line(0, "ALLOC", 5));
    place.write("second.log", line(60, "RELEASE", 5));
    for file in ["first.log", "second.log"] {
        run(&place, &format!("import {file} --ledger ledger --json")).with_status(0);
    }
    assert_eq!(named(&place, "2024-06-01T10:30:00Z", 5), ["100.64.1.5"]);
}

#[test]
fn a_form_that_nobody_knows_is_refused_before_anything_is_written() {
    let place = Place::new();
    place.write("mx1.log", "what\never\n");
    let ended = run(&place, "import mx1.log --device mx1 --ledger ledger").with_status(2);
    assert!(ended.stderr.contains("dialect file"), "{}", ended.stderr);
    assert!(!place.path("ledger").exists());
    let ended = run(&place, "import mx1.log --device mx1 --format cisko").with_status(2);
    assert!(ended.stderr.contains("cisco-ios"), "{}", ended.stderr);
}

/// IPFIX messages of a NAT's blocks, one an event, as a capture; without the message `lost`.
fn flow_capture(lost: Option<usize>) -> Vec<u8> {
    file_of(&flow_packets(lost))
}

fn flow_packets(lost: Option<usize>) -> Vec<(Timestamp, Vec<u8>)> {
    let event = |time: &str, phase, host| NatEvent {
        at: EventTime::Told(time.parse::<Timestamp>().unwrap()),
        told: Told::Ports(Holding {
            phase,
            kind: Kind::Block,
            subscriber: Some(Subscriber::new(
                Realm::default(),
                std::net::Ipv4Addr::new(100, 64, 1, host).into(),
            )),
            external: "203.0.113.7".parse().unwrap(),
            ports: PortRange::new(1_024, 1_535).unwrap(),
            transport: None,
            since: None,
        }),
    };
    let events = [
        event("2024-06-01T10:00:00Z", Phase::Begun, 5),
        event("2024-06-01T11:00:00Z", Phase::Ended, 5),
        event("2024-06-01T11:02:00Z", Phase::Begun, 6),
        event("2024-06-01T12:00:00Z", Phase::Ended, 6),
        event("2024-06-01T12:10:00Z", Phase::Begun, 8),
    ];
    let mut exporter = Exporter::new(ExportSettings::default());
    let packets = events.iter().map(|event| {
        let now = event.at.timestamp();
        let mut message = Vec::new();
        exporter
            .message(now, std::slice::from_ref(event), &mut message)
            .unwrap();
        (
            at(&now.to_string()),
            udp("192.0.2.1:2055", "192.0.2.2:4739", &message),
        )
    });
    let kept = packets.enumerate().filter(|(n, _)| Some(*n) != lost);
    kept.map(|(_, packet)| packet).collect()
}

const FLOWS: &str =
    "import nat.pcap --device cgn1 --ledger ledger --json --complete-from 2024-06-01T10:00:00Z";

#[test]
fn a_capture_of_ipfix_names_who_had_the_port() {
    let place = Place::new();
    place.write("nat.pcap", flow_capture(None));
    let told = run(&place, FLOWS).with_status(0).json();
    assert_eq!((&told["events"], &told["records"]), (&5.into(), &6.into()));
    assert_eq!(named(&place, "2024-06-01T10:30:00Z", 0), ["100.64.1.5"]);
    assert!(named(&place, "2024-06-01T11:01:00Z", 4).is_empty());
    assert_eq!(named(&place, "2024-06-01T11:30:00Z", 0), ["100.64.1.6"]);
}

#[test]
fn a_lost_message_is_a_gap_by_its_number() {
    let place = Place::new();
    // Who had the port between 11:02 and 12:00 was told by the lost message.
    place.write("nat.pcap", flow_capture(Some(2)));
    run(&place, FLOWS).with_status(0);
    assert_eq!(named(&place, "2024-06-01T10:30:00Z", 0), ["100.64.1.5"]);
    named(&place, "2024-06-01T11:30:00Z", 5);
}

#[test]
fn a_capture_that_breaks_off_is_taken_as_far_as_it_goes_and_said() {
    let place = Place::new();
    let mut capture = flow_capture(None);
    capture.truncate(capture.len() - 20);
    place.write("nat.pcap", capture);
    let ended = run(&place, FLOWS).with_status(1);
    assert_eq!(ended.json()["events"], 4);
    assert!(ended.stderr.contains("nat.pcap"), "{}", ended.stderr);
    assert_eq!(named(&place, "2024-06-01T10:30:00Z", 0), ["100.64.1.5"]);
}

#[test]
fn a_file_of_which_nothing_can_be_read_is_a_failure() {
    let place = Place::new();
    place.write("mx1.log", line(0, "ALLOC", 5)[..150].to_owned() + "\n");
    run(&place, &format!("{IMPORT} --format juniper")).with_status(1);
}

#[test]
fn other_programs_syslog_beside_flow_messages_hides_nothing() {
    let place = Place::new();
    let mut packets = flow_packets(None);
    let other = b"<30>Jun  1 10:00:00 router sshd[7]: Server listening on :: port 22.";
    packets.insert(
        1,
        (
            at("2024-06-01T10:10:00Z"),
            udp("192.0.2.1:514", "192.0.2.2:514", other),
        ),
    );
    place.write("nat.pcap", file_of(&packets));
    let ended = run(&place, FLOWS).with_status(0);
    assert_eq!(ended.json()["events"], 5);
    assert!(ended.stderr.contains("1 lines skipped"), "{}", ended.stderr);
    assert_eq!(named(&place, "2024-06-01T10:30:00Z", 0), ["100.64.1.5"]);
}
