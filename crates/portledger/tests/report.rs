//! `portledger report`: a log's sightings as abuse reports, which the program itself reads back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use serde_json::Value;
use support::{Ended, Place};

/// Postfix with a port, and without one.
const LOG: &str = "\
2026-11-21T10:53:22.123456+00:00 mail postfix/smtpd[1]: connect from unknown[203.0.113.7]:49152
2026-11-21T10:53:23.123456+00:00 mail postfix/smtpd[1]: disconnect from unknown[203.0.113.7]:49152 ehlo=1
2026-11-21T10:53:24.123456+00:00 mail postfix/smtpd[1]: connect from unknown[203.0.113.8]
";

const REPORTER: &str = "Example Org <abuse@example.org>";

fn report(place: &Place, form: &str, kind: &str, more: &[&str]) -> Ended {
    let args = [
        "report",
        "mail.log",
        "--form",
        form,
        "--type",
        kind,
        "--reporter",
        REPORTER,
    ];
    place.run(&[&args[..], more].concat())
}

fn ports(place: &Place, file: &str) -> Vec<Value> {
    let ended = place.run(&["sightings", "--json", file]).with_status(0);
    let lines = ended.json_lines().into_iter();
    lines.map(|mut line| line["port"].take()).collect()
}

#[test]
fn what_is_reported_reads_back_as_it_was_seen() {
    let place = Place::new();
    place.write("mail.log", LOG);
    for (form, kind) in [("arf", "abuse"), ("xarf", "login_attack")] {
        let ended = report(&place, form, kind, &[]).with_status(1);
        assert!(
            ended.stderr.contains("2 reports, 1 refused"),
            "{}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains("mail.log:3: no source port"),
            "{}",
            ended.stderr
        );
        place.write("reports", &ended.stdout);
        assert_eq!(ports(&place, "reports"), [49_152, 49_152], "{form}");
    }
}

#[test]
fn without_a_port_only_when_told() {
    let place = Place::new();
    place.write("mail.log", LOG);
    let ended = report(&place, "xarf", "port_scan", &["--without-port"]).with_status(0);
    assert_eq!(ended.json_lines().len(), 3);
}

#[test]
fn a_type_of_the_other_form_is_wrong_usage() {
    let place = Place::new();
    place.write("mail.log", LOG);
    for (form, kind) in [("arf", "port_scan"), ("xarf", "abuse")] {
        report(&place, form, kind, &[]).with_status(2);
    }
}
