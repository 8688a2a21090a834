//! `portledger init`, `seal`, `stats` and `questions`: what a ledger is made as, what becomes of
//! its days, and who asked it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use support::{
    Ended, Place,
    capture::{at, file_of},
    packet::udp,
};

fn run(place: &Place, args: &str) -> Ended {
    place.run(&args.split(' ').collect::<Vec<_>>())
}

/// A configuration and a capture of one subscriber on a day that is long over.
fn place() -> Place {
    let place = Place::new();
    place.write(
        "nat.toml",
        "device = 'cgn1'\n\
         [pool]\naddresses = ['203.0.113.7/32']\n\
         [[realm]]\nname = 'default'\ninside = ['100.64.0.0/10']\n\
         [ports]\nrange = '1024-1087'\n\
         [blocks]\nsize = 64\n",
    );
    let packet = |time| (at(time), udp("100.64.3.9:4000", "198.51.100.1:53", b"?"));
    place.write(
        "inside.pcap",
        file_of(&[
            packet("2024-06-01T12:00:00Z"),
            packet("2024-06-01T12:30:00Z"),
        ]),
    );
    place
}

const REPLAY: &str = "nat replay -c nat.toml --inside inside.pcap --ledger ledger";
const WHO: &str = "who 203.0.113.7:1050 --at 2024-06-01T12:01:00Z";

#[test]
fn a_ledger_is_made_as_it_was_said() {
    let place = place();
    let ended = run(
        &place,
        "init ledger --day-starts 04:30 --keys keys --master-key master --store sealed-here --keep-days 180 --keep-questions-days 365",
    );
    let ended = ended.with_status(0);
    assert!(
        ended.stderr.contains("its master key is master;"),
        "{}",
        ended.stderr
    );
    let settings = place.read("ledger/ledger.toml");
    for line in [
        "day_starts = \"04:30\"",
        "encrypted = true",
        "keep_days = 180",
        "keep_questions_days = 365",
    ] {
        assert!(settings.contains(line), "{settings}");
    }
    // Paths are from where one is, not from inside the ledger's folder.
    assert!(place.exists("keys") && place.exists("master") && place.exists("sealed-here"));

    run(&place, REPLAY).with_status(0);
    assert!(place.exists("sealed-here/days/2024-06-01"));
    assert_eq!(
        run(&place, &format!("{WHO} --ledger ledger --json")).json()["verdict"],
        "unique"
    );

    let again = run(&place, "init ledger").with_status(1);
    assert!(
        again.stderr.contains("there is a ledger already"),
        "{}",
        again.stderr
    );
    assert_eq!(place.read("ledger/ledger.toml"), settings);
    let wrong = run(&place, "init other --day-starts 25:00").with_status(2);
    assert!(wrong.stderr.contains("--day-starts"), "{}", wrong.stderr);
    assert!(!place.exists("other"));
}

#[test]
fn a_master_key_may_come_from_a_program() {
    let place = place();
    place.write("key", "00".repeat(32));
    let args = ["init", "ledger", "--master-key-command", "cat"];
    let key = place.path("key");
    let args: Vec<_> = args
        .into_iter()
        .map(Into::into)
        .chain([key.into_os_string()])
        .collect();
    let ended = place.run(&args).with_status(0);
    assert!(!ended.stderr.contains("master.key"), "{}", ended.stderr);
    run(&place, REPLAY).with_status(0);
    assert!(!place.exists("ledger/master.key"));
    run(&place, WHO).with_status(0);
    // Without the key there is no answer.
    place.write("key", "01".repeat(32));
    let ended = run(&place, WHO).with_status(1);
    assert_eq!(ended.stdout, "");
}

#[test]
fn a_replay_seals_the_days_that_are_over_and_says_where_the_master_key_is() {
    let place = place();
    let ended = run(&place, REPLAY).with_status(0);
    let said = "its master key is ledger/master.key; keep a copy of it elsewhere";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let stats = run(&place, "stats --json").with_status(0).json();
    assert_eq!(stats["sealed_days"], 1);
    assert_eq!(stats["records_not_in_segments"], 0);
    let day = &stats["days"][0];
    assert_eq!(
        (&day["state"], &day["records"], &day["bytes"]),
        (&"sealed".into(), &stats["records"], &stats["segment_bytes"])
    );
    assert_eq!(stats["devices"], serde_json::json!(["cgn1"]));
    assert!(stats["segment_bytes"].as_u64().unwrap() > 0, "{stats}");
    assert!(
        stats["bytes_an_allocation"].as_f64().unwrap() > 0.0,
        "{stats}"
    );
    let text = run(&place, "stats").with_status(0).stdout;
    assert!(text.contains("days        1 sealed, 0 deleted"), "{text}");

    let again = run(&place, "seal --json").with_status(0).json();
    assert_eq!(again, serde_json::json!({ "records": 0, "days": 0 }));
}

#[test]
fn a_folder_that_holds_no_ledger_is_not_made_one() {
    let place = place();
    std::fs::create_dir(place.path("empty")).unwrap();
    for command in ["seal", "stats", "questions"] {
        for folder in ["empty", "nowhere"] {
            let ended = run(&place, &format!("{command} --ledger {folder}")).with_status(1);
            assert!(ended.stderr.contains(folder), "{}", ended.stderr);
            assert!(
                ended.stderr.contains("give the ledger's folder"),
                "{}",
                ended.stderr
            );
        }
    }
    assert!(!place.exists("nowhere"));
    assert_eq!(std::fs::read_dir(place.path("empty")).unwrap().count(), 0);
}

#[test]
fn questions_are_shown_by_case_and_time_and_name_nobody() {
    let place = place();
    run(&place, REPLAY).with_status(0);
    run(&place, &format!("{WHO} --case A-1")).with_status(0);
    run(&place, WHO).with_status(0);
    place.write(
        "log.csv",
        "time,address,port\n2024-06-01T12:01:00Z,203.0.113.7,1050\n",
    );
    run(&place, "trace log.csv --case A-1").with_status(0);

    let table = run(&place, "questions --case A-1").with_status(0).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[1].contains("unique"), "{table}");
    assert!(
        lines[1].ends_with("who 203.0.113.7:1050 at 2024-06-01T12:01:00.000Z"),
        "{table}"
    );
    assert!(lines[2].ends_with("trace log.csv: 1 unique"), "{table}");
    assert!(!table.contains("100.64."), "{table}");

    let all = run(&place, "questions --json").with_status(0);
    assert_eq!(all.json_lines().len(), 4);
    assert!(!all.stdout.contains("100.64."), "{}", all.stdout);
    let later = run(&place, "questions --json --since 2124-01-01T00:00:00Z").with_status(0);
    assert_eq!(later.stdout, "");
    let wrong = run(&place, "questions --since yesterday").with_status(2);
    assert!(wrong.stderr.contains("is not a time"), "{}", wrong.stderr);
}

#[test]
fn a_ledger_of_the_first_release_is_taken_over_before_it_is_asked() {
    let place = Place::new();
    std::fs::create_dir(place.path("ledger")).unwrap();
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../ledger/tests/format_v1");
    let mut records = 0;
    for entry in std::fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "plg") {
            let name = path.file_name().unwrap().to_str().unwrap();
            std::fs::copy(&path, place.path("ledger").join(name)).unwrap();
            records += 1;
        }
    }
    assert!(records > 0);
    let before = run(&place, "stats --json").with_status(0).json();
    let refused = run(&place, WHO).with_status(1);
    assert_eq!(refused.stdout, "");
    assert!(
        refused
            .stderr
            .contains("'portledger seal --ledger ledger' takes it over"),
        "{}",
        refused.stderr
    );

    let ended = run(&place, "seal").with_status(0);
    let said = format!("took over {} records", before["records"]);
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    let after = run(&place, "stats --json").with_status(0).json();
    assert_eq!(after["records"], before["records"]);
    assert_eq!(after["records_not_in_segments"], 0);
    assert_ne!(run(&place, WHO).status, 1);
}
