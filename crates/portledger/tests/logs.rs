//! `portledger sightings` and `portledger trace` on servers' logs: how a log's format is found,
//! what becomes of lines that cannot be read, of times without a zone and of clocks that are wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use std::fs;

use serde_json::Value;
use support::{
    Ended, Place,
    capture::{at, file_of},
    packet::udp,
};

/// Three lines as nginx writes them with `combined` and the port behind it.
const NGINX: &str = r#"203.0.113.7 - - [01/Jun/2024:12:01:00 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8" 1050
203.0.113.7 - - [01/Jun/2024:14:31:00 +0200] "GET / HTTP/1.1" 200 5 "-" "curl/8" 1051
198.51.100.9 - - [01/Jun/2024:12:31:01 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8" 40000
"#;

fn run(place: &Place, args: &str) -> Ended {
    place.run(&args.split(' ').collect::<Vec<_>>())
}

/// Address, port and time of each sighting.
fn seen(ended: &Ended) -> Vec<(String, Value, Value)> {
    let lines = ended.json_lines().into_iter();
    lines
        .map(|mut line| {
            let address = line["address"].as_str().unwrap().to_owned();
            (address, line["port"].take(), line["at"].take())
        })
        .collect()
}

fn sighting(address: &str, port: u16, at: &str) -> (String, Value, Value) {
    (address.to_owned(), port.into(), at.into())
}

/// What [`NGINX`] says.
fn three() -> Vec<(String, Value, Value)> {
    vec![
        sighting("203.0.113.7", 1050, "2024-06-01T12:01:00.000Z"),
        sighting("203.0.113.7", 1051, "2024-06-01T12:31:00.000Z"),
        sighting("198.51.100.9", 40_000, "2024-06-01T12:31:01.000Z"),
    ]
}

/// A ledger in which 100.64.3.9 holds 203.0.113.7's ports 1024 to 1087 from 12:00 to 12:07:01,
/// 100.64.5.1 from 12:30 to 12:37:01, and whose log ends at 13:00.
fn ledger() -> Place {
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
    run(
        &place,
        "nat replay -c nat.toml --inside inside.pcap --ledger ledger",
    )
    .with_status(0);
    place
}

/// The verdict on each sighting, and who is named.
fn verdicts(ended: &Ended) -> Vec<(String, Option<String>)> {
    let lines = ended.json_lines().into_iter();
    lines
        .map(|answer| {
            let verdict = answer["verdict"].as_str().unwrap().to_owned();
            let internal = answer["allocations"][0]["subscriber"]["internal"].as_str();
            (verdict, internal.map(str::to_owned))
        })
        .collect()
}

fn unique(internal: &str) -> (String, Option<String>) {
    ("unique".to_owned(), Some(internal.to_owned()))
}

fn none() -> (String, Option<String>) {
    ("none".to_owned(), None)
}

#[test]
fn a_format_is_found_in_every_way_it_can_be_said() {
    let place = Place::new();
    place.write("access.log", NGINX);
    place.write(
        "nginx.conf",
        "http {\n include formats.d/*.conf;\n access_log /var/log/access.log ports;\n}\n",
    );
    fs::create_dir(place.path("formats.d")).unwrap();
    place.write(
        "formats.d/ports.conf",
        "log_format ports '$remote_addr - $remote_user [$time_local] \"$request\" '\n\
         '$status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $remote_port';\n",
    );
    place.write(
        "httpd.conf",
        "LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b \\\"%{Referer}i\\\" \\\"%{User-agent}i\\\" %{remote}p\" ports\n\
         CustomLog logs/access.log ports\n",
    );
    let nginx = r#"nginx:$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $remote_port"#;
    let apache = r#"apache:%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i" %{remote}p"#;
    let ways: [&[&str]; 6] = [
        &[],
        &["--format", "nginx-combined-port"],
        &["--format", nginx],
        &["--format", apache],
        &["--config", "nginx.conf"],
        &["--config", "httpd.conf"],
    ];
    for way in ways {
        let args = [&["sightings", "access.log", "--json"], way].concat();
        let ended = place.run(&args).with_status(0);
        assert_eq!(seen(&ended), three(), "{way:?}");
        // What is not given is said.
        let said = ended.stderr.contains("access.log: ");
        assert_eq!(said, !way.contains(&"--format"), "{}", ended.stderr);
    }
}

/// The client behind a proxy, named with its port, and the ways to say whom to believe.
#[test]
fn a_trusted_proxy_names_the_client() {
    let place = Place::new();
    place.write(
        "proxied.log",
        "1795258402.123 192.0.2.10 50000 \"203.0.113.66, 203.0.113.7:49152\"\n\
         1795258403.123 198.51.100.9 50001 \"203.0.113.66\"\n",
    );
    let format = r#"nginx:$msec $remote_addr $remote_port "$http_x_forwarded_for""#;
    let clients = |args: &[&str]| {
        let args = [
            &["sightings", "proxied.log", "--json", "--format", format],
            args,
        ]
        .concat();
        let ended = place.run(&args).with_status(0);
        let lines = ended.stdout.lines().map(|line| {
            let sighting: Value = serde_json::from_str(line).unwrap();
            format!("{} {}", sighting["address"], sighting["port"])
        });
        lines.collect::<Vec<_>>().join(", ")
    };
    let hops = r#""192.0.2.10" 50000, "198.51.100.9" 50001"#;
    let client = r#""203.0.113.7" 49152, "198.51.100.9" 50001"#;
    assert_eq!(clients(&[]), hops);
    assert_eq!(clients(&["--trusted-proxy", "192.0.2.0/24"]), client);
    let both = [
        "--trusted-proxy",
        "2001:db8::/32",
        "--trusted-proxy",
        "192.0.2.10",
    ];
    assert_eq!(clients(&both), client);
    let header = [
        "--trusted-proxy",
        "192.0.2.10",
        "--trusted-header",
        "Forwarded",
    ];
    // The client is unknown: a proxy connected, and the header that it sets is not in the line.
    assert_eq!(clients(&header), r#""198.51.100.9" 50001"#);
    let wrong = [
        ["--trusted-proxy", "192.0.2.0/33"],
        ["--trusted-header", "X-Forwarded-For"],
    ];
    for wrong in wrong {
        let args = [
            &["sightings", "proxied.log", "--format", format],
            wrong.as_slice(),
        ]
        .concat();
        place.run(&args).with_status(2);
    }
}

#[test]
fn an_empty_log_has_no_sightings() {
    let place = Place::new();
    place.write("empty.log", "");
    let ended = run(&place, "sightings --json empty.log").with_status(0);
    assert_eq!(ended.stdout, "");
    assert!(
        ended.stderr.contains("empty.log: no lines"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_format_that_cannot_be_is_wrong_usage() {
    let place = Place::new();
    place.write("access.log", NGINX);
    place.write("prose.log", "Dear diary,\ntoday nothing was logged.\n");
    place.write(
        "nginx.conf",
        "http {\n access_log /var/log/other.log mine;\n}\n",
    );
    for (args, why) in [
        (
            "access.log --format nginx:$remote_addr",
            "the format writes no time",
        ),
        ("access.log --format nope", "no format is named 'nope'"),
        ("access.log --config nginx.conf", "nginx.conf"),
        (
            "access.log --format csv --config nginx.conf",
            "cannot be used with",
        ),
        (
            "prose.log",
            "prose.log: the lines are of no format that is known",
        ),
        // Neither does the first log give answers when the second cannot be read.
        (
            "access.log prose.log",
            "prose.log: the lines are of no format that is known",
        ),
        (
            "access.log --zone Mars/Phobos",
            "'Mars/Phobos' is not a zone",
        ),
    ] {
        let ended = run(&place, &format!("sightings --json {args}"));
        assert!(ended.stderr.contains(why), "{args}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args}");
        assert_eq!(ended.status, 2, "{args}: {}", ended.stderr);
    }
    for (args, why) in [
        ("nowhere.log", "nowhere.log: cannot read it"),
        ("access.log nowhere.log", "nowhere.log: cannot read it"),
        (".", ".: cannot read it"),
        (
            "access.log --config nowhere.conf",
            "nowhere.conf: cannot read it",
        ),
        ("access.log --rejects no/where", "no/where: cannot write it"),
    ] {
        let ended = run(&place, &format!("sightings --json {args}")).with_status(1);
        assert!(ended.stderr.contains(why), "{args}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{args}");
    }
}

#[test]
fn lines_that_cannot_be_read_are_kept_and_stop_nothing() {
    let place = ledger();
    let bad = [
        "203.0.113.7 - - [99/Jun/2024:12:01:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"c\" 1050",
        "203.0.113.7 - - [01/Jun/2024:12:01:00 +0000] \"GET / HT",
        "",
        "\u{7f}\u{0}no line",
        "999.0.113.7 - - [01/Jun/2024:12:01:00 +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \"c\" 1050",
    ];
    let good: Vec<&str> = NGINX.lines().collect();
    let mut bytes = Vec::new();
    for (place, line) in bad.iter().enumerate() {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        if let Some(line) = good.get(place) {
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
    }
    // No text in any encoding, and cut off.
    let last = b"203.0.113.7 \xff\xfe [01/Jun";
    bytes.extend_from_slice(last);
    place.write("access.log", &bytes);

    let mut expected: Vec<u8> = Vec::new();
    for line in bad.iter().filter(|line| !line.is_empty()) {
        expected.extend_from_slice(line.as_bytes());
        expected.push(b'\n');
    }
    expected.extend_from_slice(last);
    let args = "access.log --format nginx-combined-port --json --rejects rejects";
    let ended = run(&place, &format!("sightings {args}")).with_status(0);
    assert_eq!(seen(&ended), three());
    assert_eq!(fs::read(place.path("rejects")).unwrap(), expected);
    assert!(
        ended.stderr.contains("3 sightings, 1 skipped, 5 rejected"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("access.log: line 1, byte 18: "),
        "{}",
        ended.stderr
    );

    fs::remove_file(place.path("rejects")).unwrap();
    let ended = run(&place, &format!("trace {args}")).with_status(0);
    let (first, second) = (unique("100.64.3.9"), unique("100.64.5.1"));
    assert_eq!(verdicts(&ended)[..2], [first, second]);
    assert_eq!(fs::read(place.path("rejects")).unwrap(), expected);
}

#[test]
fn a_log_is_not_overwritten_by_what_it_lacks() {
    let place = Place::new();
    place.write("access.log", NGINX);
    place.write("nginx.conf", "http { }");
    for args in [
        "access.log --rejects access.log",
        "access.log --rejects ./access.log",
        "access.log --config nginx.conf --rejects nginx.conf",
    ] {
        let ended = run(&place, &format!("sightings {args}")).with_status(2);
        assert!(ended.stderr.contains("would overwrite"), "{}", ended.stderr);
    }
    assert_eq!(place.read("access.log"), NGINX);
    assert_eq!(place.read("nginx.conf"), "http { }");
}

#[test]
fn a_log_may_come_on_standard_input() {
    let place = ledger();
    for args in [["sightings", "-", "--json"], ["trace", "-", "--json"]] {
        let ended = place.run_with_input(&args, NGINX.as_bytes()).with_status(0);
        assert_eq!(ended.stdout.lines().count(), 3);
        assert!(
            ended.stderr.contains("portledger: -: read as "),
            "{}",
            ended.stderr
        );
    }
    // A capture, too.
    let capture = fs::read(place.path("inside.pcap")).unwrap();
    let ended = place.run_with_input(&["sightings", "-", "--json"], &capture);
    let first = sighting("100.64.3.9", 4000, "2024-06-01T12:00:00.000Z");
    assert_eq!(seen(&ended.with_status(0))[0], first);
}

#[test]
fn a_time_without_a_zone_names_nobody() {
    let place = ledger();
    place.write(
        "seen.csv",
        "time,address,port\n2024-06-01 14:01:00,203.0.113.7,1050\n",
    );
    let ended = run(&place, "sightings seen.csv --json").with_status(0);
    let sightings = ended.json_lines();
    assert_eq!(
        (&sightings[0]["at"], &sightings[0]["zone"]),
        (&Value::Null, &"missing".into())
    );
    let ended = run(&place, "trace seen.csv --json").with_status(0);
    let refused = ended.json_lines();
    assert_eq!(refused[0]["refused"], "no-time");
    assert_eq!(refused[0]["verdict"], Value::Null);
    assert!(!ended.stdout.contains("100.64."), "{}", ended.stdout);
    assert!(ended.stderr.contains("1 refused"), "{}", ended.stderr);

    for zone in ["+02:00", "Europe/Berlin"] {
        let ended = run(&place, &format!("trace seen.csv --json --zone {zone}")).with_status(0);
        assert_eq!(verdicts(&ended), [unique("100.64.3.9")], "{zone}");
    }
    let ended = run(&place, "trace seen.csv --json --zone UTC").with_status(0);
    assert_eq!(verdicts(&ended)[0].0, "unknown");
}

#[test]
fn a_clock_that_is_wrong_is_put_right_when_asked() {
    let place = ledger();
    // The server's clock is 10 minutes ahead.
    place.write(
        "seen.csv",
        "time,address,port\n\
         2024-06-01T12:10:05Z,203.0.113.7,1050\n\
         2024-06-01T12:16:55Z,203.0.113.7,1050\n\
         2024-06-01T12:40:05Z,203.0.113.7,1050\n\
         2024-06-01T12:46:55Z,203.0.113.7,1050\n",
    );
    let ended = run(&place, "trace seen.csv --json").with_status(0);
    assert_eq!(verdicts(&ended), [none(), none(), none(), none()]);
    let right = ["100.64.3.9", "100.64.3.9", "100.64.5.1", "100.64.5.1"].map(unique);
    for offset in ["10m", "600s", "+10m"] {
        let ended = run(&place, &format!("trace seen.csv --json --offset {offset}"));
        assert_eq!(verdicts(&ended.with_status(0)), right, "{offset}");
    }
    // Behind, and wrongly so: what was at 12:10:05 is taken for 12:35:05.
    let ended = run(&place, "trace seen.csv --json --offset -25m").with_status(0);
    assert_eq!(verdicts(&ended)[0], unique("100.64.5.1"));

    for wrong in ["5", "soon", "--5s"] {
        let ended = run(&place, &format!("trace seen.csv --offset {wrong}")).with_status(2);
        assert!(ended.stderr.contains("--offset: "), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn an_offset_is_found_only_where_the_sightings_agree_on_one() {
    let place = ledger();
    // Thirty minutes apart as the blocks are: the clock may be 10 min ahead or 20 min behind, but
    // the third sighting is at the end of the second block.
    let lines = "time,address,port\n\
         2024-06-01T12:10:05Z,203.0.113.7,1050\n\
         2024-06-01T12:16:55Z,203.0.113.7,1050\n\
         2024-06-01T12:46:55Z,203.0.113.7,1050\n";
    place.write("seen.csv", lines);
    let ended = run(&place, "trace seen.csv --json --offset auto").with_status(0);
    for said in [
        "portledger: correction -606",
        "3 of 3 sightings fall inside an allocation\n",
        "3 sightings: 3 unique, 0 ambiguous, 0 none, 0 unknown, 0 refused\n",
    ] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    // Each line is counted once, however often it is read.
    let said = "3 sightings, 1 skipped, 0 rejected";
    assert_eq!(ended.stderr.matches(said).count(), 1, "{}", ended.stderr);
    let right = ["100.64.3.9", "100.64.3.9", "100.64.5.1"].map(unique);
    assert_eq!(verdicts(&ended), right);

    // One sighting fits both blocks, and then nothing is answered.
    place.write(
        "one.csv",
        lines.lines().take(2).collect::<Vec<_>>().join("\n"),
    );
    let ended = run(&place, "trace one.csv --json --offset auto").with_status(2);
    assert_eq!(ended.stdout, "");
    let why = "so none is applied";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
}

#[test]
fn a_log_that_cannot_be_read_twice_is_put_aside_and_read_twice() {
    let place = ledger();
    let lines = "time,address,port\n\
         2024-06-01T12:10:05Z,203.0.113.7,1050\n\
         2024-06-01T12:16:55Z,203.0.113.7,1050\n\
         2024-06-01T12:46:55Z,203.0.113.7,1050\n\
         no line\n";
    let args = [
        "trace",
        "-",
        "--format",
        "csv",
        "--json",
        "--offset",
        "auto",
        "--rejects",
        "rejects",
    ];
    let ended = place.run_with_input(&args, lines.as_bytes()).with_status(0);
    let right = ["100.64.3.9", "100.64.3.9", "100.64.5.1"].map(unique);
    assert_eq!(verdicts(&ended), right);
    // What could not be read is kept once.
    assert_eq!(place.read("rejects"), "no line\n");
}

#[test]
fn a_clock_that_ran_too_fast_is_put_right_when_that_is_asked_for() {
    let place = ledger();
    // Ten minutes ahead at first, and 400 ppm more from then on: 0.72 s after half an hour. The
    // blocks were held for 421 s each, and both ends of both were seen.
    place.write(
        "seen.csv",
        "time,address,port\n\
         2024-06-01T12:10:00.300Z,203.0.113.7,1050\n\
         2024-06-01T12:17:00.950Z,203.0.113.7,1050\n\
         2024-06-01T12:40:00.900Z,203.0.113.7,1050\n\
         2024-06-01T12:47:01.600Z,203.0.113.7,1050\n",
    );
    let ended = run(&place, "trace seen.csv --json --offset auto-drift").with_status(0);
    let right = ["100.64.3.9", "100.64.3.9", "100.64.5.1", "100.64.5.1"].map(unique);
    assert_eq!(verdicts(&ended), right);
    assert!(ended.stderr.contains(" ppm ("), "{}", ended.stderr);
    assert!(
        ended.stderr.contains(": 4 of 4 sightings"),
        "{}",
        ended.stderr
    );

    // The last contradicts the others under every line.
    let lines = place.read("seen.csv").replace("12:47:01.600Z", "12:55:00Z");
    place.write("wrong.csv", lines);
    for offset in ["auto", "auto-drift"] {
        let ended = run(&place, &format!("trace wrong.csv --offset {offset}")).with_status(2);
        assert_eq!(ended.stdout, "");
        let why = "so none is applied";
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
        assert!(ended.stderr.contains("1 contradict it"), "{}", ended.stderr);
    }
}

#[test]
fn sightings_of_one_account_name_who_may_have_made_them_all() {
    let place = ledger();
    let one = "time,address\n2024-06-01T12:01:00Z,203.0.113.7\n2024-06-01T12:05:00Z,203.0.113.7\n";
    place.write("one.csv", one);
    let ended = run(&place, "trace one.csv --json --same-actor").with_status(0);
    let found = ended.json();
    assert_eq!(found["verdict"], "unique");
    assert_eq!(found["remaining"], 1);
    assert_eq!(
        found["candidates"][0]["subscriber"]["internal"],
        "100.64.3.9"
    );
    assert_eq!(found["sightings"]["answered"], 2);
    let ended = run(&place, "trace one.csv --same-actor").with_status(0);
    assert!(
        ended
            .stdout
            .starts_with("1 subscriber is left of all 2 sightings; unique: ")
    );

    // Who was there first was not there later.
    place.write(
        "two.csv",
        format!("{one}2024-06-01T12:31:00Z,203.0.113.7\n"),
    );
    let ended = run(&place, "trace two.csv --same-actor").with_status(4);
    let why = "they cannot be one subscriber's, or a clock is wrong";
    assert!(ended.stdout.contains(why), "{}", ended.stdout);
    assert!(!ended.stdout.contains("100.64."), "{}", ended.stdout);

    // Of the third nothing is known: nobody is named for sure.
    place.write(
        "gap.csv",
        format!("{one}2024-06-01T13:31:00Z,203.0.113.7\n"),
    );
    let ended = run(&place, "trace gap.csv --json --same-actor").with_status(5);
    let found = ended.json();
    assert_eq!(
        (&found["verdict"], &found["remaining"]),
        (&"unknown".into(), &1.into())
    );
    let asked = run(&place, "questions --json").with_status(0).stdout;
    assert!(asked.contains("\"same_actor\":true"), "{asked}");
    assert!(asked.contains("\"same_actor\":\"unknown\""), "{asked}");
}

#[test]
fn without_a_port_the_number_of_candidates_comes_first() {
    let place = ledger();
    place.write(
        "seen.csv",
        "time,address\n2024-06-01T12:01:00Z,203.0.113.7\n",
    );
    let ended = run(&place, "trace seen.csv").with_status(0);
    let second = ended.stdout.lines().nth(1).unwrap_or_default();
    assert!(
        second.starts_with("1 subscriber; unique: "),
        "{}",
        ended.stdout
    );
}

#[test]
fn which_column_was_taken_for_the_port_is_said() {
    let place = Place::new();
    place.write(
        "u_ex.log",
        "#Software: IIS\n#Fields: date time c-ip remote_port\n2026-11-21 10:53:22 203.0.113.7 49152\n",
    );
    let ended = run(&place, "sightings --json --format iis u_ex.log").with_status(0);
    assert_eq!(ended.json_lines()[0]["port"], 49152);
    assert!(
        ended
            .stderr
            .contains("the port is what the column 'remote_port' has, in 1 file\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_capture_of_ipv6_is_read_behind_its_extension_headers() {
    // UDP 2001:db8::7 port 40000 to 2001:db8::80 port 53, alone and behind destination options.
    let plain = |next: u8, extension: &[u8]| {
        let length = u8::try_from(10 + extension.len()).unwrap();
        let mut packet = vec![0x60, 0, 0, 0, 0, length, next, 64];
        for end in [7, 0x80] {
            packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end]);
        }
        packet.extend(extension);
        packet.extend([0x9c, 0x40, 0, 53, 0, 10, 0, 0, b'h', b'i']);
        packet
    };
    for packet in [plain(17, &[]), plain(60, &[17, 0, 1, 4, 0, 0, 0, 0])] {
        let place = Place::new();
        place.write(
            "seen.pcap",
            file_of(&[(at("2026-11-21T10:53:22Z"), packet)]),
        );
        let ended = run(&place, "sightings --json seen.pcap").with_status(0);
        let sightings = ended.json_lines();
        assert_eq!(sightings.len(), 1, "{}", ended.stderr);
        assert_eq!(sightings[0]["address"], "2001:db8::7");
        assert_eq!(sightings[0]["port"], 40_000);
        assert_eq!(sightings[0]["destination"]["address"], "2001:db8::80");
    }
}
