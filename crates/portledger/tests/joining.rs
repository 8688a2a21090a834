//! `--connections`: lines without a port, held against the log that `portledger watch` wrote. And how `watch` itself
//! is called; what it records is tested in `e2e`.

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
    packet::udp,
};

fn run(place: &Place, args: &str) -> Ended {
    place.run(&args.split(' ').collect::<Vec<_>>())
}

/// nginx's default, without a port: at 12:01 and 12:31.
const NGINX: &str = r#"203.0.113.7 - - [01/Jun/2024:12:01:00 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8"
203.0.113.7 - - [01/Jun/2024:14:31:00 +0200] "GET / HTTP/1.1" 200 5 "-" "curl/8"
198.51.100.9 - - [01/Jun/2024:12:31:01 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8"
"#;

/// 12:00:55, 12:30:55 and 12:30:56.
const CONNECTIONS: &str = "# 1717200000.000000 start tcp=80 udp=none
1717243255.000000 203.0.113.7 1050 192.0.2.80 80 tcp
1717245055.000000 203.0.113.7 40000 192.0.2.80 80 tcp
1717245056.000000 198.51.100.9 2000 192.0.2.80 80 tcp
1717245056.000000 198.51.100.9 2001 192.0.2.80 80 tcp
# 1717286400.000000 stop
";

const ASK: &str = "--format nginx-combined --server-port 80 --longest-connection 10m";

/// A ledger in which 100.64.3.9 holds 203.0.113.7's ports 1024 to 1087 at 12:01 and 100.64.5.1 at 12:31, both logs,
/// the connections' in a folder of the ledger's.
fn place() -> Place {
    let place = Place::new();
    let packet = |time, host: &str| (at(time), udp(host, "198.51.100.1:53", b"?"));
    place.write(
        "nat.toml",
        "device = 'cgn1'\n\
         [pool]\naddresses = ['203.0.113.7/32']\n\
         [[realm]]\nname = 'default'\ninside = ['100.64.0.0/10']\n\
         [ports]\nrange = '1024-1087'\n\
         [blocks]\nsize = 64\n",
    );
    place.write(
        "inside.pcap",
        file_of(&[
            packet("2024-06-01T12:00:00Z", "100.64.3.9:4000"),
            packet("2024-06-01T12:30:00Z", "100.64.5.1:4000"),
            packet("2024-06-01T13:00:00Z", "192.0.2.1:4000"),
        ]),
    );
    let replay = "nat replay -c nat.toml --inside inside.pcap --ledger ledger";
    run(&place, replay).with_status(0);
    fs::create_dir(place.path("ledger/connections")).unwrap();
    place.write("ledger/connections/connections.log", CONNECTIONS);
    place.write("access.log", NGINX);
    place
}

#[test]
fn a_line_is_traced_by_the_port_of_the_one_connection_that_can_have_carried_it() {
    let place = place();
    let trace = format!("trace --json {ASK} --connections ledger/connections access.log");
    let ended = run(&place, &trace).with_status(0);
    let answers = ended.json_lines();
    let told: Vec<_> = answers
        .iter()
        .map(|answer| {
            (
                answer["query"]["port"].as_u64(),
                answer["verdict"].as_str().unwrap(),
                answer["connection"]["verdict"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some(1050), "unique", "unique"),
            // The address alone would have named whoever had the block.
            (Some(40_000), "none", "unique"),
            (None, "none", "several"),
        ]
    );
    let named = &answers[0]["allocations"][0]["subscriber"]["internal"];
    assert_eq!(named, "100.64.3.9");
    assert_eq!(answers[2]["connection"]["ports"], 2);
    // The question is in the journal with the log that was used.
    let journal = run(&place, "questions --json").with_status(0).stdout;
    assert!(
        journal.contains(r#""connections":["ledger/connections"]"#),
        "{journal}"
    );
    // A folder of connections in a ledger is no part of what it vouches for.
    run(&place, "verify").with_status(0);
    run(&place, "seal").with_status(0);
    run(&place, "verify").with_status(0);
}

/// At 12:01 both are ports of 100.64.3.9, at 12:31 one is 100.64.5.1's and one nobody's.
const LISTS: &str = "# 1717200000.000000 start tcp=80 udp=none
1717243250.000000 203.0.113.7 1049 192.0.2.80 80 tcp
1717243255.000000 203.0.113.7 1050 192.0.2.80 80 tcp
1717245054.000000 203.0.113.7 1051 192.0.2.80 80 tcp
1717245055.000000 203.0.113.7 40000 192.0.2.80 80 tcp
# 1717286400.000000 stop
";

#[test]
fn of_a_list_each_connection_is_asked_for_and_nothing_is_said_that_is_not_certain() {
    let place = place();
    place.write("lists.log", LISTS);
    let trace = format!("trace --json {ASK} --connections lists.log access.log");
    let answers = run(&place, &trace).with_status(0).json_lines();
    let told: Vec<_> = answers
        .iter()
        .map(|answer| {
            let connection = &answer["connection"];
            let candidates = connection["candidates"].as_array().unwrap().iter();
            let each: Vec<_> = candidates
                .map(|one| {
                    (
                        one["port"].as_u64(),
                        one["answer"]["verdict"].as_str().unwrap(),
                    )
                })
                .collect();
            (each, connection["of_one_subscriber"].as_bool())
        })
        .collect();
    assert_eq!(
        told,
        [
            (
                vec![(Some(1049), "unique"), (Some(1050), "unique")],
                Some(true)
            ),
            (
                vec![(Some(1051), "unique"), (Some(40_000), "none")],
                Some(false)
            ),
            (vec![], None),
        ]
    );
    let who = &answers[0]["connection"]["candidates"][1]["answer"];
    assert_eq!(
        who["allocations"][0]["subscriber"]["internal"],
        "100.64.3.9"
    );
    assert_eq!(who["query"]["at"], "2024-06-01T12:00:55.000Z");
    // The line's own verdict is of its address alone.
    assert_eq!(answers[0]["query"]["port"], serde_json::Value::Null);
    let text = format!("trace {ASK} --connections lists.log access.log");
    let text = run(&place, &text).with_status(0).stdout;
    assert!(
        text.contains("\n  tcp port 1050, begun at 2024-06-01T12:00:55.000Z:\n    unique: "),
        "{text}"
    );
    assert_eq!(
        text.matches("whichever it was: all of them are of subscriber 100.64.3.9 in realm default")
            .count(),
        1
    );
    // A log that a logger may have lost some of is not known to be whole.
    let carried: String = LISTS
        .lines()
        .map(|line| format!("2024-06-01T12:31:00+00:00 www portledger-watch: {line}\n"))
        .collect();
    place.write("syslog", carried);
    let trace = format!("trace --json {ASK} --connections syslog access.log");
    let answers = run(&place, &trace).with_status(0).json_lines();
    assert_eq!(answers[0]["connection"]["verdict"], "unknown");
    assert_eq!(answers[0]["connection"]["because"], "carried");
    assert_eq!(answers[0]["connection"]["of_one_subscriber"], false);
    let listed = answers[0]["connection"]["candidates"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    let journal = run(&place, "questions --json").with_status(0).stdout;
    assert!(journal.contains(r#""connections_asked":4"#), "{journal}");
}

#[test]
fn people_read_which_ports_it_can_have_been_and_why_it_is_not_certain() {
    let place = place();
    let log = "ledger/connections/connections.log";
    let mut text = String::new();
    for args in [
        format!("sightings {ASK} --connections {log} access.log"),
        format!("sightings --format nginx-combined --connections {log} access.log"),
        "sightings --format nginx-combined access.log".to_owned(),
    ] {
        let ended = run(&place, &args).with_status(0);
        text += &format!("{args}\n{}--\n{}\n", ended.stdout, ended.stderr);
    }
    insta::assert_snapshot!(text);
    let trace = format!("trace {ASK} --connections {log} access.log");
    let text = run(&place, &trace).with_status(0).stdout;
    assert!(
        text.contains("\n  port from the connection log\n"),
        "{text}"
    );
    assert!(text.contains("\n  one of 2 ports: 2000 2001\n"), "{text}");
}

#[test]
fn a_call_that_means_nothing_is_refused() {
    let place = Place::new();
    for (args, why) in [
        ("watch", "required"),
        ("watch --dir a --syslog /dev/log", "cannot be used with"),
        ("watch --dir a --flood-limit 5/s", "--flood"),
        ("watch --dir a --flood aggregate", "--flood-limit"),
        ("watch --dir a --flood-limit 5/s --flood drop", "sample:16"),
        ("watch --dir a --mirror", "--interface"),
        ("watch --dir a --port 80-90", "no list of ports"),
        ("watch --dir a --proxy-protocol-from lb", "no network"),
        ("sightings --server-port 80 x", "--connections"),
        (
            "trace --offset auto --connections a x",
            "cannot be used with",
        ),
    ] {
        let ended = run(&place, args).with_status(2);
        assert!(ended.stderr.contains(why), "{args}: {}", ended.stderr);
    }
    let missing = run(&place, "watch --dir a --interface nosuch0").with_status(1);
    assert!(
        missing.stderr.contains("no interface 'nosuch0'"),
        "{}",
        missing.stderr
    );
}
