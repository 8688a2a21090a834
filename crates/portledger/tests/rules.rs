//! Who had a port by a rule: no record of the subscriber, and the answer is proven all the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use serde_json::Value;
use support::{Ended, Place};

fn run(place: &Place, args: &str) -> Ended {
    place.run(&args.split(' ').collect::<Vec<_>>())
}

/// A MAP domain whose IPv6 prefix was changed in April, and a binding that ended in May.
const RULES: &str = r#"
[[rule]]
device = "br1"
rule = "west"
from = 2024-01-01T00:00:00Z
kind = "map"
ipv6 = "2001:db8::/40"
ipv4 = "192.0.2.0/24"
ea_length = 16

[[rule]]
device = "br1"
rule = "west"
from = "2024-04-01T02:00:00+02:00"
kind = "map"
ipv6 = "2001:db8:ab00::/40"
ipv4 = "192.0.2.0/24"
ea_length = 16
psid_offset = 4

[[rule]]
device = "aftr1"
rule = "b4-9"
from = 2024-01-01T00:00:00Z
to = 2024-05-01T00:00:00Z
kind = "softwire"
b4 = "2001:db8:4::9"
external = "198.51.100.7"
ports = "psid 52 offset 0 length 8"
"#;

fn imported() -> Place {
    let place = Place::new();
    place.write("rules.toml", RULES);
    let told = run(
        &place,
        "import rules.toml --format rules --ledger ledger --json",
    );
    let told = told.with_status(0).json();
    assert_eq!((&told["devices"], &told["records"]), (&2.into(), &4.into()));
    place
}

fn who(place: &Place, endpoint: &str, at: &str, status: i32) -> Value {
    let question = format!("who {endpoint} --at {at} --ledger ledger --json");
    run(place, &question).with_status(status).json()
}

fn internal(answer: &Value) -> Vec<&str> {
    let all = answer["allocations"].as_array().unwrap();
    all.iter()
        .map(|held| held["subscriber"]["internal"].as_str().unwrap())
        .collect()
}

/// The address of an End-user IPv6 prefix, however it is written.
fn is_of(answer: &Value, prefix: &str) -> bool {
    internal(answer)
        .iter()
        .all(|internal| internal.starts_with(prefix))
        && !internal(answer).is_empty()
}

#[test]
fn march_is_answered_with_marchs_rules_though_april_changed_them() {
    let place = imported();
    let march = who(&place, "192.0.2.18:1232", "2024-03-15T12:00:00Z", 0);
    assert_eq!(march["verdict"], "unique");
    assert!(is_of(&march, "2001:db8:12:3400::"), "{march}");
    let held = &march["allocations"][0];
    assert_eq!(
        held["ports"],
        serde_json::json!({"first": 1232, "last": 1235})
    );
    assert_eq!(held["rule"]["name"], "west");
    assert_eq!(held["rule"]["port_count"], 252);
    assert_eq!(
        (&held["device"], &held["to"]),
        (&"br1".into(), &"2024-04-01T00:00:00.000Z".into())
    );
    assert_eq!(march["coverage"], "complete");
    // Until the rule changes: sixteen days and a half.
    assert_eq!(march["margin_ms"]["later"], 1_425_600_000_u64);

    // With April's, another has the port: a = 4, so PSID 0x4d has it.
    let may = who(&place, "192.0.2.18:5332", "2024-05-15T12:00:00Z", 0);
    assert!(is_of(&may, "2001:db8:ab12:4d00::"), "{may}");
    assert_eq!(may["margin_ms"]["later"], Value::Null);
    // Over the change, there is no one answer.
    let change = who(&place, "192.0.2.18:5332", "2024-04-01T00:00:01Z", 3);
    assert_eq!(internal(&change).len(), 2);
}

#[test]
fn what_no_rule_gives_is_nobodys_and_before_the_first_nothing_is_known() {
    let place = imported();
    let system = who(&place, "192.0.2.18:80", "2024-03-15T12:00:00Z", 4);
    assert_eq!(system["coverage"], "complete");
    who(&place, "192.0.2.18:1232", "2023-12-31T12:00:00Z", 5);
    // A binding says of its own ports only: others may have the rest of the address.
    let bound = who(&place, "198.51.100.7:13400", "2024-03-15T12:00:00Z", 0);
    assert!(is_of(&bound, "2001:db8:4::9"), "{bound}");
    who(&place, "198.51.100.7:20000", "2024-03-15T12:00:00Z", 5);
    let after = who(&place, "198.51.100.7:13400", "2024-05-15T12:00:00Z", 5);
    assert!(internal(&after).is_empty());
}

#[test]
fn without_a_port_all_who_share_the_address_are_counted_and_listed() {
    let place = imported();
    let all = who(&place, "192.0.2.18", "2024-03-15T12:00:00Z", 3);
    let mut prefixes = internal(&all);
    prefixes.sort_unstable();
    prefixes.dedup();
    assert_eq!(prefixes.len(), 256);
    let text = run(
        &place,
        "who 192.0.2.18 --at 2024-03-15T12:00:00Z --ledger ledger",
    );
    let text = text.with_status(3).stdout;
    assert!(text.starts_with("256 subscribers; ambiguous"), "{text}");
    assert!(text.contains("rule        west: 252 ports in all, psid 52 offset 6 length 8"));
}

#[test]
fn an_answer_by_a_rule_is_proven_and_the_ledger_verified() {
    let place = imported();
    let question = "who 192.0.2.18:1232 --at 2024-03-15T12:00:00Z --proof --ledger ledger --json";
    let proven = run(&place, question).with_status(0).json();
    place.write("proof", proven["proofs"][0].as_str().unwrap());
    let checked = run(
        &place,
        "verify --proof proof --key ledger/ledger.vkey --json",
    );
    let record = checked.with_status(0).json()["record"].clone();
    assert_eq!(record["event"], "rule-began");
    assert_eq!(
        (&record["rule"], &record["at"]),
        (&"west".into(), &"2024-01-01T00:00:00.000000Z".into())
    );
    assert_eq!(
        (&record["ipv6"], &record["ipv4"]),
        (&"2001:db8::/40".into(), &"192.0.2.0/24".into())
    );
    assert_eq!(
        (&record["ea_length"], &record["psid_offset"]),
        (&16.into(), &6.into())
    );
    run(&place, "verify --ledger ledger --json").with_status(0);
}

#[test]
fn a_file_that_grew_is_imported_again_and_adds_what_is_new() {
    let place = imported();
    let import = "import rules.toml --format rules --ledger ledger --json";
    assert_eq!(run(&place, import).with_status(0).json()["records"], 0);
    let grown = RULES.to_owned()
        + "[[rule]]\ndevice = \"br1\"\nrule = \"west\"\nfrom = 2024-06-01T00:00:00Z\nkind = \"map\"\n\
           ipv6 = \"2001:db8:cd00::/40\"\nipv4 = \"192.0.2.0/24\"\nea_length = 16\n";
    place.write("rules.toml", grown);
    assert_eq!(run(&place, import).with_status(0).json()["records"], 1);
    let june = who(&place, "192.0.2.18:1232", "2024-06-15T12:00:00Z", 0);
    assert!(is_of(&june, "2001:db8:cd12:3400::"), "{june}");
    let march = who(&place, "192.0.2.18:1232", "2024-03-15T12:00:00Z", 0);
    assert!(is_of(&march, "2001:db8:12:3400::"), "{march}");
}

/// Rules and a log of allocations of one device: neither says of the other that it is complete.
#[test]
fn json_lines_bring_rules_and_allocations_and_both_answer() {
    let place = Place::new();
    let rule = r#""rule":"west","kind":"deterministic","realm":"default","inside":"100.64.0.0/28","outside":"203.0.113.7","ports":"1024-65535","compression":16,"ports_each":3584"#;
    let block = r#""event":"ports","phase":"begun","kind":"block","realm":"default","internal":"100.64.0.3","external":"203.0.113.7","first":60416,"last":60671"#;
    place.write(
        "log",
        format!(
            "{{\"at\":\"2024-03-01T00:00:00Z\",\"at_of\":\"event\",\"event\":\"rule-began\",{rule}}}\n\
             {{\"at\":\"2024-03-02T00:00:00Z\",\"at_of\":\"event\",{block}}}\n\
             {{\"at\":\"2024-03-03T00:00:00Z\",\"at_of\":\"event\",\"event\":\"heartbeat\"}}\n"
        ),
    );
    let import = "import log --device cgn1 --format json-lines --ledger ledger --json --complete-from 2024-03-01T00:00:00Z";
    let told = run(&place, import).with_status(0).json();
    assert_eq!((&told["events"], &told["rejected"]), (&3.into(), &0.into()));
    // The range by the rule, with no record of .1, and for as long as the rule is in force.
    let range = who(&place, "203.0.113.7:4608", "2024-03-02T12:00:00Z", 0);
    assert_eq!(internal(&range), ["100.64.0.1"]);
    let later = who(&place, "203.0.113.7:4608", "2024-03-20T12:00:00Z", 0);
    assert_eq!(internal(&later), ["100.64.0.1"]);
    // The dynamic pool by its record, and not after the log's end.
    let dynamic = who(&place, "203.0.113.7:60500", "2024-03-02T12:00:00Z", 0);
    assert_eq!(internal(&dynamic), ["100.64.0.3"]);
    assert_eq!(dynamic["allocations"][0]["rule"], Value::Null);
    who(&place, "203.0.113.7:60500", "2024-03-20T12:00:00Z", 5);
    // Both without a port.
    let all = who(&place, "203.0.113.7", "2024-03-02T12:00:00Z", 3);
    assert_eq!(internal(&all).len(), 17);
}

#[test]
fn a_file_that_is_wrong_is_refused_whole_with_the_place() {
    let place = Place::new();
    for (wrong, what) in [
        ("", "it has no [[rule]]"),
        ("[[rules]]\n", "'rules' is not known here"),
        (
            "[[rule]]\nrule = \"w\"\n",
            "the 1st [[rule]]: 'device' is missing",
        ),
        (
            "[[rule]]\ndevice = \"d\"\nrule = \"w\"\nkind = \"map\"\n",
            "'from' is missing",
        ),
    ] {
        place.write("rules.toml", wrong);
        let ended = run(&place, "import rules.toml --format rules --ledger ledger");
        let ended = ended.with_status(2);
        assert!(ended.stderr.contains(what), "{}", ended.stderr);
    }
    let refused = [
        ("ea_length = 16", "ea_length = 40", "the 1st [[rule]]"),
        (
            "from = 2024-01-01T00:00:00Z",
            "from = 2024-01-01T00:00:00",
            "zone",
        ),
        (
            "to = 2024-05-01",
            "to = 2023-05-01",
            "it ends before it begins",
        ),
        (
            "psid_offset = 4",
            "psid_ofset = 4",
            "'psid_ofset' is not known",
        ),
    ];
    for (right, wrong, what) in refused {
        place.write("rules.toml", RULES.replacen(right, wrong, 1));
        let ended = run(&place, "import rules.toml --format rules --ledger ledger");
        let ended = ended.with_status(2);
        assert!(ended.stderr.contains(what), "{what}: {}", ended.stderr);
    }
    assert!(!place.exists("ledger"));
}
