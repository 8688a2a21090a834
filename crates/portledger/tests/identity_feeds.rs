//! `portledger identity import` of leases and accounting.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use portledger_identity::{Interval, Store};
use portledger_keys::{KeyRing, MasterKey, MasterSource};
use portledger_model::{Realm, Span, Subscriber};
use serde_json::{Value, json};
use support::{Ended, Place};

const KEA: &str = "\
address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id
100.64.3.9,00:00:5e:00:53:01,,3600,1795266000,1,0,0,nemo,0,,0
100.64.3.10,00:00:5e:00:53:02,,3600,1795266000,1,0,0,,0,,0
";
/// The same server's file after its clean-up: another client has 100.64.3.9.
const KEA_LATER: &str = "\
address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id
100.64.3.9,00:00:5e:00:53:03,,3600,1795267800,1,0,0,,0,,0
100.64.3.9,,,oops,1795267800,1,0,0,,0,,0
";
const DETAIL: &str = "\
Sat Nov 21 12:00:00 2026
\tAcct-Status-Type = Start
\tAcct-Session-Id = \"7\"
\tNAS-IP-Address = 192.0.2.1
\tUser-Name = \"nemo\"
\tClass = \"C-1007\"
\tFramed-IP-Address = 100.64.3.9
\tTimestamp = 1795262400

Sat Nov 21 12:10:00 2026
\tAcct-Status-Type = Interim-Update
\tAcct-Session-Id = \"8\"
\tUser-Name = \"nobody\"
\tTimestamp = oops

Sat Nov 21 12:30:00 2026
\tAcct-Status-Type = Stop
\tAcct-Session-Id = \"7\"
\tNAS-IP-Address = 192.0.2.1
\tFramed-IP-Address = 100.64.3.9
\tTimestamp = 1795264200
";

fn run(place: &Place, args: &str) -> Ended {
    place.run(&args.split(' ').collect::<Vec<_>>())
}

/// Who had an address on that day: id, from, to.
fn who(place: &Place, realm: &str, address: &str) -> Vec<Value> {
    let master = MasterSource::File(place.path("identities/master.key"));
    let ring = KeyRing::open(
        &place.path("identities/keys"),
        MasterKey::load(&master).unwrap(),
    );
    let store = Store::open(&place.path("identities/table"), ring.unwrap()).unwrap();
    let subscriber = Subscriber::new(Realm::new(realm).unwrap(), address.parse().unwrap());
    let day = Span::new(
        "2026-11-21T00:00:00Z".parse().unwrap(),
        "2026-11-22T00:00:00Z".parse().unwrap(),
    );
    let told = |it: &Interval| json!([it.customer().id(), it.from(), it.to()]);
    let found = store.at(&subscriber, day).unwrap();
    found.iter().map(told).collect()
}

#[test]
fn a_server_s_rotated_files_are_one_story_in_whatever_order() {
    for files in ["leases.csv leases.csv.2", "leases.csv.2 leases.csv"] {
        let place = Place::new();
        place.write("leases.csv.2", KEA);
        place.write("leases.csv", KEA_LATER);
        let import = format!("identity import {files} --rejects rejects --json");
        let ended = run(&place, &import).with_status(1);
        let told = ended.json_lines();
        assert_eq!(told.len(), 3);
        assert_eq!(
            told[2],
            json!({ "intervals": 3, "repeated": 0, "unnamed": 0 })
        );
        let current = told.iter().find(|it| it["file"] == "leases.csv").unwrap();
        let expected = json!({
            "file": "leases.csv", "format": "kea", "facts": 1, "skipped": 0, "rejected": 1
        });
        assert_eq!(*current, expected);
        assert!(
            ended
                .stderr
                .contains("leases.csv, line 3: valid_lifetime cannot be read"),
            "{}",
            ended.stderr
        );
        assert_eq!(
            place.read("rejects"),
            "100.64.3.9,,,oops,1795267800,1,0,0,,0,,0\n"
        );
        // The first lease was promised for longer, and ended where the next one began.
        let expected = [
            json!([
                "00:00:5e:00:53:01",
                "2026-11-21T12:00:00.000Z",
                "2026-11-21T12:30:00.000Z"
            ]),
            json!([
                "00:00:5e:00:53:03",
                "2026-11-21T12:30:00.000Z",
                "2026-11-21T13:30:00.000Z"
            ]),
        ];
        assert_eq!(who(&place, "default", "100.64.3.9"), expected);
    }
}

#[test]
fn a_later_import_ends_what_an_earlier_one_knew_as_open() {
    let place = Place::new();
    let (start, stop) = DETAIL.split_once("Sat Nov 21 12:10").unwrap();
    place.write("detail-1", start);
    place.write("detail-2", format!("Sat Nov 21 12:10{stop}"));
    run(&place, "identity import detail-1").with_status(0);
    let begins = "2026-11-21T12:00:00.000Z";
    assert_eq!(
        who(&place, "default", "100.64.3.9"),
        [json!(["nemo", begins, "2026-11-21T12:00:00.000001Z"])]
    );
    let both = "identity import detail-1 detail-2 --rejects rejects";
    let ended = run(&place, both).with_status(1);
    assert_eq!(
        who(&place, "default", "100.64.3.9"),
        [json!(["nemo", begins, "2026-11-21T12:30:00.000Z"])]
    );
    // A record is kept aside as a whole, and its place is its first line.
    assert!(
        place
            .read("rejects")
            .starts_with("Sat Nov 21 12:10:00 2026\n\tAcct-Status-Type")
    );
    assert!(place.read("rejects").ends_with("\tTimestamp = oops\n\n"));
    assert!(
        ended.stderr.contains("detail-2, line 1: "),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("nobody"), "{}", ended.stderr);
    assert!(
        ended
            .stdout
            .contains("detail-1: read as radius-detail: 1 facts"),
        "{}",
        ended.stdout
    );
}

#[test]
fn the_customer_and_the_realm_are_as_asked_for() {
    let place = Place::new();
    place.write("detail", DETAIL);
    let import = "identity import detail --format radius-detail --customer class --realm west";
    run(&place, import).with_status(1);
    assert_eq!(who(&place, "west", "100.64.3.9")[0][0], "C-1007");
    assert!(who(&place, "default", "100.64.3.9").is_empty());
    let wrong = run(&place, "identity import detail --customer shoe-size").with_status(2);
    assert!(wrong.stderr.contains("user-name, calling-station-id"));
    place.write("table.csv", "internal,from,to,customer\n");
    let table = run(&place, "identity import table.csv --realm west").with_status(2);
    assert!(table.stderr.contains("in columns"), "{}", table.stderr);
}

#[test]
fn every_format_is_guessed_from_the_file() {
    let place = Place::new();
    place.write(
        "dhcpd.leases",
        "# The format of this file is documented in the dhcpd.leases(5) manual page.\n\nlease 100.64.3.9 {\n  starts 6 2026/11/21 12:00:00;\n  ends 6 2026/11/21 13:00:00;\n  binding state active;\n  hardware ethernet 00:00:5e:00:53:01;\n}\nlease 100.64.3.10 {\n  starts",
    );
    // Far in the future: the file is written now.
    place.write(
        "dnsmasq.leases",
        "9000000000 00:00:5e:00:53:01 100.64.3.11 * *\n",
    );
    place.write(
        "kea-legal.20261121.txt",
        "2026-11-21 12:00:00 UTC Address: 100.64.3.12 has been assigned for 1 hrs 0 min 0 secs to a device with hardware address: hwtype=1 00:00:5e:00:53:01\n",
    );
    let ended = run(
        &place,
        "identity import dhcpd.leases dnsmasq.leases kea-legal.20261121.txt --rejects rejects --json",
    );
    let told = ended.with_status(1).json_lines();
    let formats: Vec<&Value> = told.iter().map(|it| &it["format"]).collect();
    assert_eq!(
        formats,
        [
            &json!("isc"),
            &json!("dnsmasq"),
            &json!("kea's forensic log"),
            &Value::Null
        ]
    );
    assert_eq!(told[3]["intervals"], 3);
    assert_eq!(place.read("rejects"), "lease 100.64.3.10 {\n  starts\n");
    assert_eq!(who(&place, "default", "100.64.3.12").len(), 1);
}
