//! `portledger who`: its verdicts and exit statuses, the shape of its JSON, and that nothing is
//! answered that should not be.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use std::{fs, path::Path};

use serde_json::Value;
use support::{
    Ended, Place,
    capture::{at, file_of},
    packet::udp,
};

/// One address with one block, so that two subscribers hold the same one after each other.
const CONFIG: &str = r#"
device = "cgn1"

[pool]
addresses = ["203.0.113.7/32"]

[[realm]]
name = "default"
inside = ["100.64.0.0/10"]

[ports]
range = "1024-1087"

[blocks]
size = 64
"#;

/// A ledger in which 100.64.3.9 holds the block from 12:00, 100.64.5.1 from 12:30, and whose log
/// ends at 12:31.
fn ledger() -> Place {
    let place = Place::new();
    let packet = |time, host: &str| (at(time), udp(host, "198.51.100.1:53", b"?"));
    place.write("nat.toml", CONFIG);
    place.write(
        "inside.pcap",
        file_of(&[
            packet("2024-06-01T12:00:00Z", "100.64.3.9:4000"),
            packet("2024-06-01T12:30:00Z", "100.64.5.1:4000"),
            packet("2024-06-01T12:31:00Z", "100.64.5.1:4000"),
        ]),
    );
    let replay = [
        "nat",
        "replay",
        "-c",
        "nat.toml",
        "--inside",
        "inside.pcap",
        "--ledger",
        "ledger",
    ];
    place.run(&replay).with_status(0);
    place
}

/// `who` with this after it.
fn who(place: &Place, args: &str) -> Ended {
    let args: Vec<&str> = ["who"].into_iter().chain(args.split_whitespace()).collect();
    place.run(&args)
}

fn verdict(ended: &Ended) -> String {
    ended.json()["verdict"].as_str().unwrap().to_owned()
}

/// What the journal says was asked.
fn asked(place: &Place) -> Vec<Value> {
    let questions = place.run(&["questions", "--json"]).with_status(0);
    questions.json_lines()
}

fn holders(ended: &Ended) -> Vec<String> {
    let answer = ended.json();
    let internal = |allocation: &Value| {
        let internal = &allocation["subscriber"]["internal"];
        internal.as_str().unwrap().to_owned()
    };
    let allocations = answer["allocations"].as_array().unwrap();
    allocations.iter().map(internal).collect()
}

#[test]
fn each_verdict_has_its_exit_status() {
    let place = ledger();
    let cases: [(&str, i32, &str, &[&str]); 6] = [
        (
            "203.0.113.7:1050 --at 2024-06-01T12:01:00Z",
            0,
            "unique",
            &["100.64.3.9"],
        ),
        (
            "203.0.113.7:1050 --at 2024-06-01T14:30:30+02:00",
            0,
            "unique",
            &["100.64.5.1"],
        ),
        (
            "203.0.113.7:1050 --at 2024-06-01T12:15:00Z --within 15m",
            3,
            "ambiguous",
            &["100.64.3.9", "100.64.5.1"],
        ),
        ("203.0.113.7:1050 --at 2024-06-01T12:20:00Z", 4, "none", &[]),
        // Before the log begins and after it ends, where what was open then is shown and not claimed.
        (
            "203.0.113.7:1050 --at 2024-06-01T11:00:00Z",
            5,
            "unknown",
            &[],
        ),
        (
            "203.0.113.7:1050 --at 2024-06-01T13:00:00Z",
            5,
            "unknown",
            &["100.64.5.1"],
        ),
    ];
    for (question, status, expected, internal) in cases {
        let ended = who(&place, &format!("{question} --json")).with_status(status);
        assert_eq!(verdict(&ended), expected, "{question}");
        assert_eq!(holders(&ended), internal, "{question}");
        // The same for a person.
        let text = who(&place, question).with_status(status);
        assert!(text.stdout.starts_with(expected), "{}", text.stdout);
    }
}

#[test]
fn the_json_is_the_documented_object() {
    let place = ledger();
    let question = "203.0.113.7:1050 --at 2024-06-01T12:01:00Z --proto udp --json";
    let ended = who(&place, question).with_status(0);
    insta::assert_snapshot!(ended.stdout, @r#"{"query":{"address":"203.0.113.7","port":1050,"transport":"udp","at":"2024-06-01T12:01:00.000Z","within_ms":2000},"verdict":"unique","allocations":[{"subscriber":{"realm":"default","internal":"100.64.3.9"},"identity":null,"external":"203.0.113.7","ports":{"first":1024,"last":1087},"transport":"any","from":"2024-06-01T12:00:00.000Z","to":"2024-06-01T12:07:01.000Z","device":"cgn1","record":"2"}],"margin_ms":{"earlier":60000,"later":361000},"coverage":"complete"}"#);
    let without = who(&place, "203.0.113.7 --at 2024-06-01T13:00:00Z --json").with_status(5);
    insta::assert_snapshot!(without.stdout, @r#"{"query":{"address":"203.0.113.7","port":null,"transport":null,"at":"2024-06-01T13:00:00.000Z","within_ms":2000},"verdict":"unknown","allocations":[{"subscriber":{"realm":"default","internal":"100.64.5.1"},"identity":null,"external":"203.0.113.7","ports":{"first":1024,"last":1087},"transport":"any","from":"2024-06-01T12:30:00.000Z","to":null,"device":"cgn1","record":"4"}],"margin_ms":{"earlier":0,"later":0},"coverage":{"gaps":[{"from":"2024-06-01T12:59:57.900Z","to":"2024-06-01T13:00:02.100001Z","device":"cgn1","reason":"after-last-record"}]}}"#);
}

#[test]
fn a_time_that_may_be_another_is_refused() {
    let place = ledger();
    let refused = [
        ("2024-06-01T12:01:00", "has no zone"),
        ("2024-06-01", "has no zone"),
        ("06/01/2024 12:01:00 PM", "12-hour time"),
        ("12:01", "is not a time"),
    ];
    for (time, why) in refused {
        let ended = place.run(&["who", "203.0.113.7:1050", "--at", time, "--json"]);
        let ended = ended.with_status(2);
        assert!(ended.stderr.contains(why), "{time}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    assert_eq!(asked(&place), Vec::<Value>::new());
}

#[test]
fn a_question_that_no_ledger_could_answer_is_wrong_usage() {
    let place = ledger();
    let refused = [
        ("203.0.113.7:0 --at 2024-06-01T12:00:00Z", "port 0"),
        ("203.0.113 --at 2024-06-01T12:00:00Z", "not an address"),
        ("203.0.113.7:1050", "--at"),
        (
            "203.0.113.7:1050 --at 2124-06-01T12:00:00Z",
            "has not come yet",
        ),
        ("[2001:db8::7]:1050 --at 2024-06-01T12:00:00Z", "IPv6"),
        (
            "203.0.113.7:1050 --at 2024-06-01T12:00:00Z --within=-2s",
            "negative",
        ),
        (
            "203.0.113.7:1050 --at 2024-06-01T12:00:00Z --proto sctp",
            "sctp",
        ),
    ];
    for (question, why) in refused {
        let ended = who(&place, question).with_status(2);
        assert!(ended.stderr.contains(why), "{question}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{question}");
    }
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_the_ipv4_address() {
    let place = ledger();
    let question = "[::ffff:203.0.113.7]:1050 --at 2024-06-01T12:01:00Z --json";
    let ended = who(&place, question).with_status(0);
    assert_eq!(holders(&ended), ["100.64.3.9"]);
}

#[test]
fn a_question_is_recorded_before_its_answer() {
    let place = ledger();
    who(
        &place,
        "203.0.113.7:1050 --at 2024-06-01T12:01:00Z --proto udp",
    )
    .with_status(0);
    who(&place, "203.0.113.7 --at 2024-06-01T13:00:00Z --within 1s").with_status(5);
    place.write("log.csv", "time,address,port\n");
    let trace = [
        "trace", "log.csv", "--format", "csv", "--offset", "1s", "--case", "Js 7/26",
    ];
    place.run(&trace).with_status(0);

    let mut asked = asked(&place);
    for question in &mut asked {
        let at = question["at"].take();
        assert!(at.as_str().unwrap().ends_with('Z'));
        let user = question["user"].take();
        assert!(user["uid"].is_u64(), "{user}");
    }
    let asked: Vec<String> = asked.iter().map(Value::to_string).collect();
    insta::assert_snapshot!(asked.join("\n"), @r#"
    {"at":null,"case":null,"command":"who","kind":"question","number":0,"question":{"address":"203.0.113.7","at":"2024-06-01T12:01:00.000Z","identities":false,"port":1050,"transport":"udp","within_ms":2000},"user":null,"verdict":"unique"}
    {"at":null,"case":null,"command":"who","kind":"question","number":1,"question":{"address":"203.0.113.7","at":"2024-06-01T13:00:00.000Z","identities":false,"port":null,"transport":null,"within_ms":1000},"user":null,"verdict":"unknown"}
    {"at":null,"case":"Js 7/26","command":"trace","kind":"question","number":2,"question":{"connections":[],"files":["log.csv"],"identities":false,"offset":"1s","same_actor":false,"within_ms":2000},"user":null}
    {"at":null,"case":"Js 7/26","command":"trace","kind":"answered","number":3,"of":2,"tally":{"ambiguous":0,"median_candidates_without_port":null,"none":0,"refused":0,"sightings":0,"unique":0,"unknown":0},"user":null}
    "#);
}

#[test]
fn a_question_that_cannot_be_recorded_is_not_answered() {
    let place = ledger();
    fs::remove_dir_all(place.path("ledger/journal")).unwrap();
    place.write("ledger/journal", "");
    place.write(
        "log.csv",
        "time,address,port\n2024-06-01T12:01:00Z,203.0.113.7,1050\n",
    );
    let asked: [&[&str]; 3] = [
        &[
            "who",
            "203.0.113.7:1050",
            "--at",
            "2024-06-01T12:01:00Z",
            "--json",
        ],
        &["trace", "log.csv", "--json"],
        &["trace", "log.csv", "--offset", "auto"],
    ];
    for question in asked {
        let ended = place.run(question).with_status(1);
        assert_eq!(ended.stdout, "");
        let why = "ledger: the question could not be recorded, so it is not answered: ";
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
}

#[test]
fn a_damaged_ledger_is_an_error_with_its_place() {
    let place = ledger();
    spoil(&place.path("ledger/sealed/days"));
    let ended = who(&place, "203.0.113.7:1050 --at 2024-06-01T12:01:00Z --json").with_status(1);
    assert_eq!(ended.stdout, "");
    let where_and_what = "allocations.parquet is damaged at byte ";
    assert!(ended.stderr.contains(where_and_what), "{}", ended.stderr);
    assert_eq!(asked(&place), Vec::<Value>::new());
}

/// Changes a bit in the middle of each file.
fn spoil(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            spoil(&path);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn where_there_is_no_ledger_there_is_no_answer() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    place.write("file", "");
    place.write(
        "log.csv",
        "time,address,port\n2024-06-01T12:01:00Z,203.0.113.7,1050\n",
    );
    for (ledger, why) in [
        (
            "nowhere",
            "nowhere: there is no such folder; give the ledger's folder with --ledger",
        ),
        (
            "empty",
            "empty: the folder holds no ledger; give the ledger's folder with --ledger",
        ),
        ("file", "Not a directory"),
    ] {
        let asked: [&[&str]; 2] = [
            &[
                "who",
                "203.0.113.7:1050",
                "--at",
                "2024-06-01T12:01:00Z",
                "--ledger",
                ledger,
            ],
            &["trace", "log.csv", "--ledger", ledger],
        ];
        for question in asked {
            let ended = place.run(question).with_status(1);
            assert_eq!(ended.stdout, "");
            assert!(ended.stderr.contains(why), "{}", ended.stderr);
        }
    }
    assert!(!place.exists("nowhere"));
    assert_eq!(fs::read_dir(place.path("empty")).unwrap().count(), 0);
    // Without --ledger it is the folder of that name, and the environment can say another.
    let ended = who(&place, "203.0.113.7:1050 --at 2024-06-01T12:01:00Z").with_status(1);
    assert!(ended.stderr.contains("ledger: there is no such folder"));
}

#[test]
fn a_copy_of_the_log_answers_without_its_lock() {
    let place = ledger();
    fs::remove_file(place.path("ledger/LOCK")).unwrap();
    let ended = who(&place, "203.0.113.7:1050 --at 2024-06-01T12:01:00Z --json").with_status(0);
    assert_eq!(holders(&ended), ["100.64.3.9"]);
}
