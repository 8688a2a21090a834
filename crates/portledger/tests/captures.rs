//! Real captures, which are no part of the repository, through the whole program: what comes out
//! of the NAT is a right packet, and the ledger then names the right subscriber for each.
//!
//! `PORTLEDGER_CAPTURES` names their folder; where there is none, these tests say so and pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use std::{
    collections::BTreeSet,
    env, fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use portledger_model::Timestamp;
use serde_json::Value;
use support::{
    Ended, Place,
    capture::{self, Recorded},
    conversation::{PRIVATE, Sides, Translations, answers, echo, sides},
    packet::{self, Ends, ICMP, Parts, TCP, UDP, quoted, residue, transport_residue},
    pairing::{End, pair},
};

/// The captures' files; nothing, and loudly, where there are none.
fn captures() -> Vec<PathBuf> {
    let folder = env::var_os("PORTLEDGER_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures"),
        PathBuf::from,
    );
    let Ok(entries) = fs::read_dir(&folder) else {
        // Past the test harness, which would keep it to itself.
        let note = format!(
            "SKIPPED: no real captures in {}; set PORTLEDGER_CAPTURES to a folder of pcap and pcapng files\n",
            folder.display()
        );
        let _ = std::io::Write::write_all(&mut std::io::stderr(), note.as_bytes());
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_capture = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("pcap" | "pcapng"))
    };
    let mut paths: Vec<PathBuf> = paths.filter(is_capture).collect();
    paths.sort();
    paths
}

/// What the tests of all captures came to, so that a test which tries nothing is seen.
#[derive(Debug, Default)]
struct Tally {
    captures: usize,
    to_outside: usize,
    to_inside: usize,
    right_checksums: usize,
    wrong_checksums: usize,
    quoted: usize,
    fragments: usize,
    traced: usize,
    asked: usize,
}

#[test]
fn every_capture_as_it_is_adds_up() {
    for path in captures() {
        let place = Place::new();
        place.write("nat.toml", config(&PRIVATE.map(str::to_owned)));
        let read = capture::read(&path).unwrap();
        let ended = replay(&place, &path, &[]);
        let report = ended.json();
        assert_eq!(
            report["frames"],
            read.packets.len() + read.others.len(),
            "{}",
            path.display()
        );
        assert_adds_up(&report);
        assert_eq!(ended.status, i32::from(read.broken.is_some()));
        assert_eq!(
            report["broken"].as_array().unwrap().is_empty(),
            read.broken.is_none()
        );
    }
}

#[test]
fn a_capture_that_is_cut_goes_through_up_to_its_break() {
    for path in captures() {
        let bytes = fs::read(&path).unwrap();
        let Some(records) = classic_records(&bytes) else {
            continue;
        };
        let cut = bytes.len() * 2 / 3;
        let whole = records.iter().take_while(|record| record.1 <= cut).count();
        let (begin, end) = records[whole];
        if begin == cut {
            continue;
        }
        let place = Place::new();
        place.write("nat.toml", config(&["10.0.0.0/8".to_owned()]));
        place.write("cut.pcap", &bytes[..cut]);
        let ended = replay(&place, Path::new("cut.pcap"), &[]).with_status(1);
        assert_eq!(ended.json()["frames"], whole);
        let good = match whole {
            0 => "before the first packet, ".to_owned(),
            1 => "packet 1 is good, then ".to_owned(),
            whole => format!("packets 1 to {whole} are good, then "),
        };
        let message = format!("portledger: cut.pcap: {good}at byte {begin}: the file ends inside");
        assert!(ended.stderr.contains(&message), "{}", ended.stderr);
        // Of a record header that is cut itself, the packet's length is not known.
        if cut - begin >= 16 {
            let missing = format!("(bytes missing: {})", end - cut);
            assert!(ended.stderr.contains(&missing), "{}", ended.stderr);
        }
    }
}

/// Where each record of a pcap file in microseconds begins and ends; `None` for another file.
fn classic_records(bytes: &[u8]) -> Option<Vec<(usize, usize)>> {
    let long = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
    let number = match long(0)? {
        [0xD4, 0xC3, 0xB2, 0xA1] => u32::from_le_bytes,
        [0xA1, 0xB2, 0xC3, 0xD4] => u32::from_be_bytes,
        _ => return None,
    };
    let mut records = Vec::new();
    let mut at = 24;
    while at < bytes.len() {
        let end = at + 16 + usize::try_from(number(long(at + 8)?)).unwrap();
        records.push((at, end));
        at = end;
    }
    Some(records)
}

#[test]
fn what_goes_through_is_right_and_traced_to_the_right_subscriber() {
    let mut tally = Tally::default();
    let captures = captures();
    for path in &captures {
        eprintln!("{}", path.display());
        conversation(path, &mut tally);
    }
    eprintln!("{tally:?}");
    if !captures.is_empty() {
        assert!(tally.to_outside > 0 && tally.to_inside > 0, "{tally:?}");
        assert!(
            tally.right_checksums > 0 && tally.traced > 0 && tally.asked > 0,
            "{tally:?}"
        );
    }
}

/// One capture through the NAT twice: its inside alone, then with the outside's answers to where
/// the first run has put the inside.
fn conversation(path: &Path, tally: &mut Tally) {
    let read = capture::read(path).unwrap();
    if read.packets.is_empty() {
        return;
    }
    let Sides {
        mut inside,
        outside,
        prefixes,
        hosts,
    } = sides(read.packets);
    let place = Place::new();
    place.write("nat.toml", config(&prefixes));
    bookend(&mut inside, &outside);
    capture::write(&place.path("inside.pcap"), &inside);

    let report = replay(
        &place,
        Path::new("inside.pcap"),
        &["--to-outside", "first.pcap"],
    );
    assert_adds_up(&report.with_status(0).json());
    let first = capture::read(&place.path("first.pcap")).unwrap().packets;
    let translations = check_outside(&inside, &first, &hosts, &mut Tally::default());

    let mut outside = answers(&outside, &translations);
    outside.extend(first.iter().filter_map(echo));
    outside.sort_by_key(|packet| packet.at);
    capture::write(&place.path("outside.pcap"), &outside);
    let more = "--outside outside.pcap --ledger ledger --to-inside in.pcap --to-outside out.pcap";
    let more: Vec<&str> = more.split(' ').collect();
    let report = replay(&place, Path::new("inside.pcap"), &more)
        .with_status(0)
        .json();
    assert_adds_up(&report);

    let to_outside = capture::read(&place.path("out.pcap")).unwrap().packets;
    let translations = check_outside(&inside, &to_outside, &hosts, tally);
    let to_inside = capture::read(&place.path("in.pcap")).unwrap().packets;
    check_inside(&outside, &to_inside, &hosts, &translations, tally);
    assert_eq!(report["nat"]["to_outside"], to_outside.len());
    assert_eq!(report["nat"]["to_inside"], to_inside.len());
    check_ledger(&place, &to_outside, &translations, tally);
    tally.captures += 1;
}

/// A packet of nobody's before all others and one behind, so that the log is complete around them.
fn bookend(inside: &mut Vec<Recorded>, outside: &[Recorded]) {
    let times = || inside.iter().chain(outside).map(|packet| packet.at);
    let margin = Duration::from_secs(10);
    let (first, last) = (times().min().unwrap(), times().max().unwrap());
    let nobody = |at| Recorded {
        at,
        bytes: packet::udp("192.0.2.1:1", "192.0.2.2:2", b""),
        missing: 0,
    };
    let (before, behind) = (nobody(first.before(margin)), nobody(last.after(margin)));
    inside.insert(0, before);
    inside.push(behind);
}

/// Every packet to the outside is one of the inside's, translated as it should be, or an error of
/// the NAT's own about one of the outside's.
fn check_outside(
    inside: &[Recorded],
    written: &[Recorded],
    hosts: &BTreeSet<Ipv4Addr>,
    tally: &mut Tally,
) -> Translations {
    let mut translations = Translations::default();
    for (packet, original) in written.iter().zip(pair(inside, written, End::Source)) {
        let Recorded { at, bytes, .. } = packet;
        assert!(is_external(packet::source(bytes)), "{packet:?}");
        assert!(!hosts.contains(&packet::destination(bytes)), "{packet:?}");
        if let Some((_, quote)) = quoted(bytes) {
            for host in hosts.iter().map(Ipv4Addr::octets) {
                assert!(!quote.windows(4).any(|bytes| bytes == host), "{packet:?}");
            }
        }
        let Some(original) = original.map(|place| &inside[place]) else {
            assert_own_error(packet);
            continue;
        };
        check_translated(original, packet, tally);
        tally.to_outside += 1;
        translations.learn(*at, &original.bytes, bytes);
    }
    for (endpoint, last, first) in translations.handovers() {
        assert!(
            first.since(last) >= Duration::from_secs(120),
            "{endpoint:?}"
        );
    }
    translations
}

/// Every packet to the inside is one of the outside's, brought to whoever has the endpoint.
fn check_inside(
    outside: &[Recorded],
    written: &[Recorded],
    hosts: &BTreeSet<Ipv4Addr>,
    translations: &Translations,
    tally: &mut Tally,
) {
    for (packet, original) in written.iter().zip(pair(outside, written, End::Destination)) {
        let Recorded { at, bytes, .. } = packet;
        assert!(hosts.contains(&packet::destination(bytes)), "{packet:?}");
        assert!(!is_external(packet::source(bytes)), "{packet:?}");
        let Some(original) = original.map(|place| &outside[place]) else {
            assert_own_error(packet);
            continue;
        };
        check_translated(original, packet, tally);
        tally.to_inside += 1;
        let (before, after) = match (quoted(&original.bytes), quoted(bytes)) {
            (Some((_, before)), Some((_, after))) => (Ends::of(before), Ends::of(after)),
            _ => (Ends::of(&original.bytes), Ends::of(bytes)),
        };
        let (Some(before), Some(after)) = (before, after) else {
            continue;
        };
        let (external, internal) = match quoted(bytes) {
            Some(_) => (before.source, after.source),
            None => (before.destination, after.destination),
        };
        let holder = translations.internal((before.protocol, external), *at);
        assert_eq!(holder, Some(internal), "{packet:?}");
    }
}

/// What a NAT must leave alone is as it was (or it would be no pair); this is what it must mend.
fn check_translated(original: &Recorded, translated: &Recorded, tally: &mut Tally) {
    let parts = Parts::of(&translated.bytes).unwrap();
    assert_eq!(
        residue(&translated.bytes[..parts.header]),
        0,
        "{translated:?}"
    );
    assert_eq!(original.missing, translated.missing);
    tally.fragments += usize::from(parts.is_fragment());
    let (before, after) = (
        transport_residue(&original.bytes),
        transport_residue(&translated.bytes),
    );
    match (quoted(&original.bytes), quoted(&translated.bytes)) {
        (Some((_, before)), Some((_, after))) => {
            // An error is computed anew, and goes on only where it was right.
            assert_eq!(transport_residue(&translated.bytes), Some(0));
            assert_eq!(residue(&after[..header(after)]), 0, "{translated:?}");
            assert_eq!(
                transport_residue(before),
                transport_residue(after),
                "{translated:?}"
            );
            tally.quoted += 1;
        }
        // As right or as wrong as it was; what is cut has the same sum over what there is.
        _ => assert_eq!(before, after, "{original:?} {translated:?}"),
    }
    match before {
        Some(0) => tally.right_checksums += 1,
        Some(_) => tally.wrong_checksums += 1,
        None => {}
    }
}

fn header(packet: &[u8]) -> usize {
    Parts::of(packet).unwrap().header
}

fn assert_own_error(packet: &Recorded) {
    let parts = Parts::of(&packet.bytes).unwrap();
    assert_eq!(parts.protocol, ICMP, "not one that went in: {packet:?}");
    assert_eq!(packet.bytes[parts.header], 3, "{packet:?}");
    assert_eq!(transport_residue(&packet.bytes), Some(0), "{packet:?}");
    assert_eq!(residue(&packet.bytes[..parts.header]), 0, "{packet:?}");
}

/// The ledger names the holder of every external endpoint that the outside has seen.
fn check_ledger(
    place: &Place,
    to_outside: &[Recorded],
    translations: &Translations,
    tally: &mut Tally,
) {
    let traced = place.run(&["trace", "out.pcap", "--ledger", "ledger", "--json"]);
    for answer in traced.with_status(0).json_lines() {
        let line = usize::try_from(answer["source"]["line"].as_u64().unwrap()).unwrap();
        let packet = &to_outside[line - 1];
        let ends = Ends::of(&packet.bytes).unwrap();
        assert_eq!(answer["refused"], Value::Null, "{answer}");
        if answer["query"]["address"] != ends.source.ip().to_string() {
            // A segment that answers one from the outside: the outside has begun.
            continue;
        }
        assert_names(&answer, ends, packet.at, translations);
        tally.traced += 1;
    }
    let begins = |packet: &&Recorded| match Ends::of(&packet.bytes) {
        Some(ends) if ends.protocol == TCP => {
            packet.bytes[header(&packet.bytes) + 13] & 0x12 == 0x02
        }
        Some(ends) => ends.protocol == UDP,
        None => false,
    };
    let all: Vec<&Recorded> = to_outside.iter().filter(begins).collect();
    for packet in all.iter().step_by(all.len().div_ceil(4).max(1)) {
        let ends = Ends::of(&packet.bytes).unwrap();
        let (endpoint, at) = (ends.source.to_string(), packet.at.to_string());
        let proto = if ends.protocol == TCP { "tcp" } else { "udp" };
        let ended = place.run(&[
            "who", &endpoint, "--at", &at, "--proto", proto, "--ledger", "ledger", "--json",
        ]);
        assert_names(&ended.with_status(0).json(), ends, packet.at, translations);
        tally.asked += 1;
    }
}

fn assert_names(answer: &Value, ends: Ends, at: Timestamp, translations: &Translations) {
    let holder = translations
        .internal((ends.protocol, ends.source), at)
        .unwrap();
    assert_eq!(answer["verdict"], "unique", "{answer}");
    for allocation in answer["allocations"].as_array().unwrap() {
        let internal = &allocation["subscriber"]["internal"];
        assert_eq!(internal, &holder.ip().to_string(), "{answer}");
    }
}

/// Every packet is forwarded, kept or dropped for a named reason.
fn assert_adds_up(report: &Value) {
    let number = |value: &Value| value.as_u64().expect("a count");
    let sum = |table: &Value| -> u64 { table.as_object().unwrap().values().map(number).sum() };
    let nat = &report["nat"];
    let count = |name: &str| number(&nat[name]);
    let frames = number(&report["frames"]) - sum(&report["not_ip"]);
    assert_eq!(
        count("from_inside") + count("from_outside"),
        frames,
        "{report}"
    );
    let went_in = frames + count("icmp_sent");
    let came_out = count("to_inside") + count("to_outside") + sum(&nat["dropped"]);
    // Those that still wait for their first fragment have not come out.
    let waiting = went_in
        .checked_sub(came_out)
        .expect("more came out than went in");
    assert!(waiting <= count("fragments_kept"), "{report}");
}

fn replay(place: &Place, inside: &Path, more: &[&str]) -> Ended {
    let inside = inside.to_str().unwrap();
    let args = [
        "nat", "replay", "-c", "nat.toml", "--json", "--inside", inside,
    ];
    place.run(&[&args, more].concat())
}

fn is_external(address: Ipv4Addr) -> bool {
    address.octets().starts_with(&[203, 0, 113]) && address.octets()[3] < 16
}

fn config(inside: &[String]) -> String {
    format!(
        "device = \"cgn1\"\n\
         [pool]\naddresses = [\"203.0.113.0/28\"]\n\
         [[realm]]\nname = \"default\"\ninside = {inside:?}\n"
    )
}
