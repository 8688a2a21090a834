//! `portledger identity`, and answers that name customers to those who may know them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use serde_json::{Value, json};
use support::{
    Ended, Place,
    capture::{at, file_of},
    packet::udp,
};

fn run(place: &Place, args: &str) -> Ended {
    place.run(&args.split(' ').collect::<Vec<_>>())
}

const CUSTOMERS: &str = "\
internal,from,to,customer,name
100.64.3.9,2024-01-01T00:00:00Z,2024-06-01T12:10:00Z,C-1007,Example Person
100.64.3.9,2024-06-01T12:10:00Z,,C-1008,Another Person
100.64.3.9,yesterday,,C-1009,Nobody
";

/// A ledger in which 100.64.3.9 holds a block on 2024-06-01 from 12:00 to 12:37, and customers.
fn place() -> Place {
    let place = Place::new();
    place.write(
        "nat.toml",
        "device = 'cgn1'\n\
         [pool]\naddresses = ['203.0.113.7/32']\n\
         [[realm]]\nname = 'default'\ninside = ['100.64.0.0/10']\n\
         [ports]\nrange = '1024-1087'\n\
         [blocks]\nsize = 64\nidle = '2h'\n",
    );
    let packet = |time| (at(time), udp("100.64.3.9:4000", "198.51.100.1:53", b"?"));
    place.write(
        "inside.pcap",
        file_of(&[
            packet("2024-06-01T12:00:00Z"),
            packet("2024-06-01T12:30:00Z"),
        ]),
    );
    place.write("customers.csv", CUSTOMERS);
    run(
        &place,
        "nat replay -c nat.toml --inside inside.pcap --ledger ledger",
    )
    .with_status(0);
    let ended = run(
        &place,
        "identity import customers.csv --rejects rejects.csv --json",
    );
    let ended = ended.with_status(1);
    assert_eq!(
        ended.json(),
        json!({ "file": "customers.csv", "rows": 2, "repeated": 0, "rejected": 1 })
    );
    assert!(
        ended.stderr.contains("customers.csv, line 4: "),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("Nobody"), "{}", ended.stderr);
    place
}

fn identity(ended: &Ended) -> Value {
    ended.json()["allocations"][0]["identity"].clone()
}

#[test]
fn a_line_that_is_rejected_is_kept_as_it_is() {
    let place = place();
    assert_eq!(
        place.read("rejects.csv"),
        "100.64.3.9,yesterday,,C-1009,Nobody\n"
    );
    let ended = run(
        &place,
        "identity import customers.csv --rejects customers.csv",
    );
    ended.with_status(2);
    assert_eq!(place.read("customers.csv"), CUSTOMERS);
}

#[test]
fn who_the_customer_was_is_told_to_those_who_ask_with_the_keys() {
    let place = place();
    let who = "who 203.0.113.7:1050 --at 2024-06-01T12:01:00Z";
    assert_eq!(
        identity(&run(&place, &format!("{who} --json"))),
        Value::Null
    );
    let ended = run(&place, &format!("{who} --identities identities --json")).with_status(0);
    let expected = json!([{
        "id": "C-1007",
        "fields": { "name": "Example Person" },
        "from": "2024-01-01T00:00:00.000Z",
        "to": "2024-06-01T12:10:00.000Z",
    }]);
    assert_eq!(identity(&ended), expected);
    let text = run(&place, &format!("{who} --identities identities"))
        .with_status(0)
        .stdout;
    assert!(
        text.contains("\nidentity    C-1007, name Example Person\n"),
        "{text}"
    );
    // Two customers within the window are two.
    let both = "who 203.0.113.7:1050 --at 2024-06-01T12:10:00Z --identities identities";
    let text = run(&place, both).with_status(0).stdout;
    let line = "\nidentity    C-1007, name Example Person; or C-1008, name Another Person\n";
    assert!(text.contains(line), "{text}");

    place.write(
        "log.csv",
        "time,address,port\n2024-06-01T12:01:00Z,203.0.113.7,1050\n",
    );
    let traced = run(&place, "trace log.csv --identities identities --json").with_status(0);
    assert_eq!(identity(&traced), expected);

    // That they were named is recorded, who it was is not.
    let asked = run(&place, "questions --json").with_status(0);
    assert!(
        asked.stdout.contains("\"identities\":true"),
        "{}",
        asked.stdout
    );
    assert!(!asked.stdout.contains("C-1007"), "{}", asked.stdout);
}

#[test]
fn an_answer_that_claims_nothing_names_no_customer() {
    let place = place();
    let who = "who 203.0.113.7:1050 --at 2024-06-01T13:00:00Z --identities identities --json";
    let ended = run(&place, who).with_status(5);
    assert!(ended.json()["allocations"][0]["subscriber"].is_object());
    assert_eq!(identity(&ended), Value::Null);
}

#[test]
fn without_their_keys_the_answer_is_given_without_identities() {
    let place = place();
    std::fs::remove_file(place.path("identities/master.key")).unwrap();
    let who = "who 203.0.113.7:1050 --at 2024-06-01T12:01:00Z --identities identities --json";
    let ended = run(&place, who).with_status(0);
    assert_eq!(identity(&ended), Value::Null);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{}", ended.stderr);
    assert!(
        lines[0].contains("answered without identities: "),
        "{}",
        ended.stderr
    );
    assert!(lines[0].contains("master.key"), "{}", ended.stderr);
    let elsewhere = run(
        &place,
        "identity forget --before 2024-07-01T00:00:00Z --identities nowhere",
    );
    assert!(
        elsewhere
            .with_status(1)
            .stderr
            .contains("holds no identities")
    );
    assert!(!place.exists("nowhere"));
}

#[test]
fn what_is_forgotten_is_named_no_more() {
    let place = place();
    let forget = "identity forget --before 2024-06-01T12:10:00Z --json";
    let ended = run(&place, forget).with_status(0);
    assert_eq!(ended.json(), json!({ "forgotten": 1, "kept": 1 }));
    let who = "who 203.0.113.7:1050 --at 2024-06-01T12:01:00Z --identities identities";
    assert_eq!(identity(&run(&place, &format!("{who} --json"))), json!([]));
    let text = run(&place, who).stdout;
    assert!(
        text.contains("identity    no customer is known for this time"),
        "{text}"
    );
}
