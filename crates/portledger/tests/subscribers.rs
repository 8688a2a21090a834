//! Whom an answer names where the subscriber is a softwire or an IPv6 host, and which customer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use serde_json::{Value, json};
use support::{Ended, Place};

fn run(place: &Place, args: &str) -> Ended {
    place.run(&args.split(' ').collect::<Vec<_>>())
}

/// Two homes with one inside address behind softwires of their own, and a host behind a NAT64.
const LINES: &str = "\
<134>1 2024 Jun 11 10:00:00 192.0.2.1 gw - DSLITE:UserbasedA [- 192.168.1.2 2001:db8:0:101::1 203.0.113.7 - 1024 1535]
<134>1 2024 Jun 11 10:00:00 192.0.2.1 gw - DSLITE:UserbasedA [- 192.168.1.2 2001:db8:0:201::1 203.0.113.7 - 1536 2047]
<134>1 2024 Jun 11 10:00:00 192.0.2.1 gw - NAT64:UserbasedA [- - 2001:db8:0:301::5 203.0.113.7 - 2048 2559]
<134>1 2024 Jun 11 11:00:00 192.0.2.1 gw - DSLITE:UserbasedW [- 192.168.1.2 2001:db8:0:101::1 203.0.113.7 - 1024 1535]
<134>1 2024 Jun 11 12:00:00 192.0.2.1 gw - DSLITE:UserbasedA [- 192.168.1.2 2001:db8:0:401::1 203.0.113.7 - 1024 1535]
<134>1 2024 Jun 11 13:00:00 192.0.2.1 gw - NAT64:UserbasedW [- - 2001:db8:0:301::5 203.0.113.7 - 2048 2559]
";

/// Prefixes as they were delegated, and one of which a part is another's.
const CUSTOMERS: &str = "\
internal,from,to,customer
2001:db8:0:100::/56,2024-01-01T00:00:00Z,,C-1
2001:db8:0:200::/56,2024-01-01T00:00:00Z,,C-2
2001:db8:0:201::1,2024-01-01T00:00:00Z,,C-2
2001:db8:0:300::/56,2024-01-01T00:00:00Z,,C-3
2001:db8:0:301::/64,2024-01-01T00:00:00Z,,C-4
";

fn place() -> Place {
    let place = Place::new();
    place.write("gw.log", LINES);
    place.write("customers.csv", CUSTOMERS);
    run(&place, "identity import customers.csv").with_status(0);
    let import = "import gw.log --device gw --ledger ledger --zone UTC --json \
                  --complete-from 2024-06-11T10:00:00Z";
    let told = run(&place, import).with_status(0).json();
    assert_eq!(
        (&told["format"], &told["events"]),
        (&"nat444".into(), &6.into())
    );
    place
}

fn who(place: &Place, port: u16, time: &str, status: i32) -> Value {
    let question =
        format!("who 203.0.113.7:{port} --at 2024-06-11T{time}Z --identities identities --json");
    run(place, &question).with_status(status).json()
}

/// The one subscriber whom an answer names, and the customers behind it.
fn named(place: &Place, port: u16, time: &str) -> (Value, Vec<String>) {
    let answer = who(place, port, time, 0);
    let held = answer["allocations"].as_array().unwrap();
    assert_eq!(held.len(), 1, "{answer}");
    let customers = held[0]["identity"].as_array().unwrap().iter();
    let customers = customers.map(|one| one["id"].as_str().unwrap().to_owned());
    (held[0]["subscriber"].clone(), customers.collect())
}

#[test]
fn of_homes_with_one_inside_address_the_softwire_is_named() {
    let place = place();
    let softwire = |b4: &str| json!({ "realm": "default", "internal": b4, "kind": "softwire" });
    let asked = |place: &Place| {
        [
            named(place, 1_100, "10:30:00"),
            named(place, 1_600, "10:30:00"),
            named(place, 1_100, "12:30:00"),
            named(place, 2_100, "10:30:00"),
        ]
    };
    let told = asked(&place);
    let customers = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            (softwire("2001:db8:0:101::1"), customers(&["C-1"])),
            (softwire("2001:db8:0:201::1"), customers(&["C-2", "C-2"])),
            (softwire("2001:db8:0:401::1"), customers(&[])),
            // A host of the NAT64, and none of two customers in the other's place.
            (
                json!({ "realm": "default", "internal": "2001:db8:0:301::5" }),
                customers(&["C-3", "C-4"])
            ),
        ]
    );
    who(&place, 1_100, "11:30:00", 4);

    let question = "who 203.0.113.7:1600 --at 2024-06-11T10:30:00Z --identities identities";
    let text = run(&place, question).with_status(0).stdout;
    let lines = "\nsubscriber  softwire 2001:db8:0:201::1 in realm default\nidentity    C-2\n";
    assert!(text.contains(lines), "{text}");

    // Sealed days say the same.
    run(&place, "seal").with_status(0);
    assert_eq!(asked(&place), told);
    run(&place, "verify").with_status(0);
}
