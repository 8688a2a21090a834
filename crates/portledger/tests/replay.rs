//! `portledger nat replay` on what cannot be right: captures, ledgers and files that do not fit.
//! What a configuration can have wrong is tried beside its document.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use std::fs;

use support::{
    Ended, Place,
    capture::{at, file_of},
    packet::{tcp_syn, udp},
};

const CONFIG: &str = r#"
device = "cgn1"

[pool]
addresses = ["203.0.113.7/32"]

[[realm]]
name = "default"
inside = ["100.64.0.0/10"]
"#;

/// A configuration and a capture of four packets, from 12:00 to 12:03.
fn place() -> Place {
    let place = Place::new();
    place.write("nat.toml", CONFIG);
    let remote = "198.51.100.1:443";
    place.write(
        "inside.pcap",
        file_of(&[
            (
                at("2024-06-01T12:00:00Z"),
                udp("100.64.3.9:4000", remote, b"one"),
            ),
            (
                at("2024-06-01T12:01:00Z"),
                tcp_syn("100.64.3.9:4001", remote, 7),
            ),
            (
                at("2024-06-01T12:02:00Z"),
                udp("100.64.5.1:4000", remote, b"three"),
            ),
            (
                at("2024-06-01T12:03:00Z"),
                udp("100.64.5.2:4000", remote, b"four"),
            ),
        ]),
    );
    place
}

fn replay(place: &Place, args: &str) -> Ended {
    let args = ["nat", "replay", "-c", "nat.toml"]
        .into_iter()
        .chain(args.split(' '));
    place.run(&args.collect::<Vec<_>>())
}

#[test]
fn what_is_no_capture_is_said_to_be_none() {
    let place = place();
    place.write("empty.pcap", "");
    place.write("text.pcap", "not a capture");
    place.write("short.pcap", [0xD4, 0xC3]);
    place.write("packed.pcap", [0x1F, 0x8B, 8, 0, 0, 0, 0, 0]);
    for (file, why) in [
        ("nowhere.pcap", "cannot read it: No such file or directory"),
        ("empty.pcap", "the file is empty"),
        (
            "text.pcap",
            "not a pcap or pcapng capture, it begins with the bytes 6e 6f 74 20",
        ),
        ("short.pcap", "the file ends inside the file header"),
        (
            "packed.pcap",
            "it is compressed: unpack it with gunzip first",
        ),
        (".", "Is a directory"),
    ] {
        for args in [
            format!("--inside {file}"),
            format!("--inside inside.pcap --outside {file}"),
        ] {
            let more = "--ledger ledger --to-outside out.pcap --json";
            let ended = replay(&place, &format!("{args} {more}")).with_status(1);
            let message = format!("portledger: {file}: ");
            assert!(ended.stderr.starts_with(&message), "{}", ended.stderr);
            assert!(ended.stderr.contains(why), "{}", ended.stderr);
            assert_eq!(ended.stdout, "");
            // Nothing is begun.
            assert!(!place.exists("ledger") && !place.exists("out.pcap"));
        }
    }
}

#[test]
fn what_stands_before_a_break_goes_through_and_is_in_the_ledger() {
    let place = place();
    let bytes = fs::read(place.path("inside.pcap")).unwrap();
    // In the middle of the fourth packet.
    place.write("cut.pcap", &bytes[..bytes.len() - 20]);
    let ended = replay(
        &place,
        "--inside cut.pcap --ledger ledger --to-outside out.pcap --json",
    );
    let ended = ended.with_status(1);
    let report = ended.json();
    assert_eq!(
        (&report["frames"], &report["nat"]["to_outside"]),
        (&3.into(), &3.into())
    );
    let place_in_file = "cut.pcap: packets 1 to 3 are good, then at byte ";
    assert!(ended.stderr.contains(place_in_file), "{}", ended.stderr);
    assert!(
        report["broken"][0]
            .as_str()
            .unwrap()
            .starts_with(place_in_file)
    );
    assert_eq!(
        support::capture::read(&place.path("out.pcap"))
            .unwrap()
            .packets
            .len(),
        3
    );

    let trace = [
        "trace", "out.pcap", "--ledger", "ledger", "--json", "--within", "0s",
    ];
    let answers = place.run(&trace).with_status(0).json_lines();
    // The log ends with the third packet, whose window is no longer in it.
    let named: Vec<_> = answers
        .iter()
        .map(|answer| &answer["allocations"][0]["subscriber"]["internal"])
        .collect();
    assert_eq!(named, ["100.64.3.9", "100.64.3.9", "100.64.5.1"]);
    assert_eq!(answers[1]["verdict"], "unique");
}

#[test]
fn a_capture_that_is_behind_the_ledger_is_refused() {
    let place = place();
    replay(&place, "--inside inside.pcap --ledger ledger").with_status(0);
    let logged = || place.run(&["stats", "--json"]).with_status(0).json();
    let before = logged();
    let ended = replay(&place, "--inside inside.pcap --ledger ledger --json").with_status(1);
    insta::assert_snapshot!(ended.stderr, @"portledger: it is 2024-06-01T12:00:00.000Z, but the ledger's last record of cgn1 is of 2024-06-01T12:03:00.000Z: what was logged from now on would contradict it; set the clock, or use another ledger or device name");
    assert_eq!(ended.stdout, "");
    assert_eq!(logged(), before);
    // Another device's log does not contradict it.
    place.write("nat.toml", CONFIG.replace("cgn1", "cgn2"));
    replay(&place, "--inside inside.pcap --ledger ledger").with_status(0);
}

#[test]
fn a_ledger_that_cannot_be_is_refused() {
    let place = place();
    place.write("file", "");
    let ended = replay(&place, "--inside inside.pcap --ledger file").with_status(1);
    assert!(ended.stderr.contains("file"), "{}", ended.stderr);
    replay(&place, "--inside inside.pcap --ledger ledger").with_status(0);
    let mut files = fs::read_dir(place.path("ledger/log")).unwrap();
    let log = files.find_map(|entry| {
        let path = entry.unwrap().path();
        path.extension()
            .is_some_and(|end| end == "plg")
            .then_some(path)
    });
    let log = log.unwrap();
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).unwrap();
    let ended = replay(&place, "--inside inside.pcap --ledger ledger").with_status(1);
    assert!(
        ended.stderr.contains("is damaged at byte"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_configuration_that_cannot_work_begins_nothing() {
    let place = place();
    let spoilt = [
        (CONFIG.replace("device", "devise"), "line 2, column 1"),
        (
            CONFIG.replace("7/32\"", "7/32\", \"203.0.113.0/28\""),
            "nat.toml: pool: '203.0.113.0/28' holds addresses that an earlier entry holds already",
        ),
        (
            format!("{CONFIG}[clocks]\nservers = '60s'\n"),
            "2 x 60.1 s = 120.2 s apart, or an answer may name the wrong one",
        ),
        (
            CONFIG.replace("100.64.0.0/10", "203.0.113.0/24"),
            "nat.toml: realm.inside: 203.0.113.0/24",
        ),
    ];
    for (config, why) in spoilt {
        place.write("nat.toml", config);
        let args = "--inside inside.pcap --ledger ledger --to-outside out.pcap --json";
        let ended = replay(&place, args).with_status(2);
        assert!(
            ended.stderr.starts_with("portledger: nat.toml: "),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
        assert!(!place.exists("ledger") && !place.exists("out.pcap"));
    }
}

#[test]
fn no_input_is_overwritten() {
    let place = place();
    let before = fs::read(place.path("inside.pcap")).unwrap();
    place.write("outside.pcap", &before);
    fs::hard_link(place.path("inside.pcap"), place.path("link.pcap")).unwrap();
    for (args, file) in [
        (
            "--inside inside.pcap --to-outside inside.pcap",
            "inside.pcap",
        ),
        (
            "--inside inside.pcap --to-inside ./inside.pcap",
            "./inside.pcap",
        ),
        (
            "--inside inside.pcap --outside outside.pcap --to-inside outside.pcap",
            "outside.pcap",
        ),
        ("--inside inside.pcap --to-outside link.pcap", "link.pcap"),
        (
            "--inside inside.pcap --to-outside out.pcap --to-inside out.pcap",
            "out.pcap",
        ),
        ("--inside inside.pcap --to-outside nat.toml", "nat.toml"),
    ] {
        let ended = replay(&place, args).with_status(2);
        let message = format!("portledger: {file}: ");
        assert!(
            ended.stderr.starts_with(&message),
            "{args}: {}",
            ended.stderr
        );
    }
    assert_eq!(fs::read(place.path("inside.pcap")).unwrap(), before);
    assert_eq!(fs::read(place.path("outside.pcap")).unwrap(), before);
    assert_eq!(place.read("nat.toml"), CONFIG);
}

#[test]
fn a_folder_that_is_missing_is_named() {
    let place = place();
    let ended = replay(&place, "--inside inside.pcap --to-outside nowhere/out.pcap");
    let ended = ended.with_status(1);
    assert!(
        ended.stderr.contains("nowhere/out.pcap"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
}

#[test]
fn a_capture_may_come_on_standard_input() {
    let place = place();
    let bytes = fs::read(place.path("inside.pcap")).unwrap();
    let args = ["nat", "replay", "-c", "nat.toml", "--json", "--inside", "-"];
    let ended = place.run_with_input(&args, &bytes).with_status(0);
    assert_eq!(ended.json()["nat"]["to_outside"], 4);
    let ended = place
        .run_with_input(&args, &bytes[..bytes.len() - 1])
        .with_status(1);
    assert_eq!(ended.json()["nat"]["to_outside"], 3);
    let message = "standard input: packets 1 to 3 are good, then at byte ";
    assert!(ended.stderr.contains(message), "{}", ended.stderr);
}

#[test]
fn the_same_captures_give_the_same_ports() {
    let place = place();
    for out in ["one.pcap", "two.pcap"] {
        replay(&place, &format!("--inside inside.pcap --to-outside {out}")).with_status(0);
    }
    place.write(
        "nat.toml",
        format!("seed = \"{}\"\n{CONFIG}", "07".repeat(32)),
    );
    replay(&place, "--inside inside.pcap --to-outside other.pcap").with_status(0);
    let [one, two, other] =
        ["one.pcap", "two.pcap", "other.pcap"].map(|name| fs::read(place.path(name)).unwrap());
    assert_eq!(one, two);
    assert_ne!(one, other);
}
