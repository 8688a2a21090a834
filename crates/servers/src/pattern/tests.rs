//! Lines of the HTTP servers, and the traps in them.

use proptest::prelude::*;

use crate::{Format, format::Kind, testing::read_lines, time::recent::Recent};

#[test]
fn nginx_combined_with_the_port_last() {
    insta::assert_snapshot!(read_lines(
        "nginx-combined-port",
        None,
        &[
            r#"203.0.113.7 - - [21/Nov/2026:10:53:22 +0100] "GET / HTTP/1.1" 200 612 "-" "curl/7.88.1" 49152"#,
            r#"2001:db8::1 - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 612 "-" "\x22quoted\x22 x\x5C" 2026"#,
            r#"::ffff:203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 612 "-" "[client 192.0.2.66:4242] 192.0.2.66 4242" 49152"#,
            r#"203.0.113.7 - eve [01/Jan/2020:00:00:00 +0000] mallory [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 401 179 "-" "x" 49152"#,
            r#"unix: - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 612 "-" "x" "#,
            r#"203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 612 "-" "x""#,
            r#"203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 612 "-" "x" 49152 tail"#,
            r#"203.0.113.7 - - [21/Nov/2026:25:53:22 +0000] "GET / HTTP/1.1" 200 612 "-" "x" 49152"#,
            r#"203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 612 "-" "x" 65536"#,
            "",
        ]
    ));
}

#[test]
fn apache_combined_with_the_port_last() {
    insta::assert_snapshot!(read_lines(
        "apache-combined-port",
        None,
        &[
            r#"203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 612 "-" "a \"b\" \\" 49152"#,
            r#"2001:db8::1 - frank [21/Nov/2026:10:53:22 -0500] "-" 408 - "-" "-" 1024"#,
            r#"203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 612 "-" "behind mod_remoteip" 0"#,
            r#"client.example.org - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 612 "-" "x" 49152"#,
        ]
    ));
    insta::assert_snapshot!(read_lines(
        "apache-vhost-combined-port",
        None,
        &[
            r#"www.example.org:443 203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 612 "-" ":80 192.0.2.66 - - [21/Nov/2026:10:53:22 +0000]" 49152"#,
            r#"[2001:db8::80]:80 203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 612 "-" "x" 49152"#,
        ]
    ));
}

#[test]
fn a_format_that_cannot_be_read_says_why() {
    let refusals: Vec<String> = [
        "nginx-combined-ports",
        "nginx:$time_local $remote_port",
        "nginx:$remote_addr $remote_port",
        "nginx:$remote_addr$remote_port $time_local",
        "nginx:escape=xml $remote_addr",
        "nginx:$remote_addr $",
        "apache:%h %{%H:%M}t",
        "apache:%h %{%I:%M}t",
        "apache:%h %t%{remote}p%l",
        "apache:%h %t %Z",
        "apache:%h %t %{x",
    ]
    .iter()
    .map(|text| format!("{text}: {}", Format::parse(text).unwrap_err()))
    .collect();
    insta::assert_snapshot!(refusals.join("\n"));
}

/// One sighting of one line by a server's own format string.
fn one(format: &str, line: &str) -> String {
    read_lines(format, None, &[line])
}

#[test]
fn nginx_format_strings() {
    insta::assert_snapshot!(
        [
            one(
                "nginx:$time_iso8601 $remote_addr:$remote_port $server_addr:$server_port $request_time",
                "2026-11-21T10:53:22+01:00 2001:db8::1:49152 2001:db8::80:443 5.402",
            ),
            one(
                "nginx:escape=json {\"t\":\"$msec\",\"a\":\"${remote_addr}\",\"p\":$remote_port,\"u\":\"$http_user_agent\"}",
                r#"{"t":"1795258402.123","a":"203.0.113.7","p":49152,"u":"\",\"p\":4242}"}"#,
            ),
            one(
                "nginx:$binary_remote_addr [$remote_addr]:$remote_port $connection [$time_local] $http_x_forwarded_for",
                r"\xCB\x00q\x07 [203.0.113.7]:49152 17 [21/Nov/2026:10:53:22 +0000] 192.0.2.66, 192.0.2.67",
            ),
            one("nginx:$msec ${remote_addr}", "1795258402.123 203.0.113.7"),
        ]
        .concat()
    );
}

/// What each hop's variables say: the client's end as far as a trusted hop tells it, and never
/// one hop's address with another's port.
#[test]
fn proxies() {
    let both = "nginx:$msec $remote_addr $remote_port $proxy_protocol_addr $proxy_protocol_port";
    insta::assert_snapshot!(
        [
            one(both, "1795258402.123 192.0.2.10 50000 203.0.113.7 49152"),
            one(both, "1795258402.123 203.0.113.7 49152 - -"),
            one(both, "1795258402.123 unix:  203.0.113.7 49152"),
            one(
                "nginx:$msec $realip_remote_addr $realip_remote_port $remote_addr $remote_port",
                "1795258402.123 192.0.2.10 50000 203.0.113.7 49152",
            ),
            one(
                "nginx:$msec $remote_addr $proxy_protocol_port",
                "1795258402.123 192.0.2.10 49152",
            ),
            one(
                "apache:%{c}a %a %{remote}p %{sec}t",
                "192.0.2.10 203.0.113.7 0 1795258402",
            ),
        ]
        .concat()
    );
}

#[test]
fn apache_format_strings() {
    insta::assert_snapshot!(
        [
            // The end where start and duration are fine enough, the start where they are not.
            one(
                "apache:%{usec}t %D %h %{remote}p",
                "1795258402123456 2300000 203.0.113.7 49152"
            ),
            one(
                "apache:%{msec}t %{ms}T %h %{remote}p",
                "1795258402123 2300 203.0.113.7 49152"
            ),
            one(
                "apache:%t %D %h %{remote}p",
                "[21/Nov/2026:10:53:22 +0000] 2300000 203.0.113.7 49152"
            ),
            one(
                "apache:%{usec}t %T %h %{remote}p",
                "1795258402123456 2 203.0.113.7 49152"
            ),
            one(
                "apache:%{end:sec}t %D %h %{remote}p",
                "1795258402 2300000 203.0.113.7 49152"
            ),
            one(
                "apache:%{begin:msec}t %{end:msec}t %h",
                "1795258402123 1795258404423 203.0.113.7",
            ),
            one(
                "apache:%{%Y-%m-%d}t %{%H:%M:%S}t.%{usec_frac}t %{%z}t %a %A %p",
                "2026-11-21 10:53:22.123456 -0500 203.0.113.7 192.0.2.80 443",
            ),
            one(
                r#"apache:%!200,304{User-agent}i \"%{Forwarded}i\" %400,501{remote}p %h %{sec}t"#,
                r#"- "for=\"[2001:db8::66]:4242\"" - 203.0.113.7 1795258402"#,
            ),
        ]
        .concat()
    );
}

#[test]
fn a_line_that_can_be_read_in_two_ways_is_refused() {
    let raw =
        r#"nginx:escape=none $msec "$http_referer" $remote_addr $remote_port "$http_user_agent""#;
    insta::assert_snapshot!(
        [
            one(
                raw,
                r#"1795258402.123 "x" 192.0.2.66 4242 "" 203.0.113.7 49152 "y""#
            ),
            one(
                raw,
                r#"1795258402.123 "x" 203.0.113.7 49152 "y" 192.0.2.66 4242 "z""#
            ),
            one(
                raw,
                r#"1795258402.123 "a "quoted" word" 203.0.113.7 49152 "y""#
            ),
            // What is not clear here is only which of two texts a word is of.
            one(
                "nginx:escape=none $msec $remote_user $hostname $remote_addr $remote_port",
                "1795258402.123 a b c 203.0.113.7 49152",
            ),
            one(
                "nginx:escape=none $msec $remote_user $hostname $remote_addr $remote_port $http_user_agent",
                "1795258402.123 a b 192.0.2.66 4242 203.0.113.7 49152 c",
            ),
            // At the end of the line nothing can be made up.
            one(
                r#"nginx:escape=none $msec "$http_user_agent" $remote_addr $remote_port"#,
                r#"1795258402.123 "x" 192.0.2.66 4242" 203.0.113.7 49152"#,
            ),
        ]
        .concat()
    );
}

/// A client's text that is like the format up to a point says nothing, whatever stands behind it.
#[test]
fn what_was_read_at_a_wrong_place_is_forgotten() {
    let format = "nginx:escape=none $msec $http_user_agent $server_addr $remote_addr $remote_port";
    let line = "1795258402.123 x 192.0.2.66 y - 203.0.113.7 49152";
    let said = one(format, line);
    assert!(said.contains(r#""destination":{"address":null"#), "{said}");
    assert!(said.contains("203.0.113.7"), "{said}");
    // Nor does it stand in for what another reading lacks: these are two.
    let line = "1795258402.123 x 192.0.2.66 203.0.113.7 49152 - 203.0.113.7 49152 z";
    assert!(one(&format!("{format} $http_x"), line).contains("two ways"));
}

#[test]
fn lines_of_bytes_that_are_no_text() {
    let mut line = b"203.0.113.7 - \xff\xfe [21/Nov/2026:10:53:22 +0000] \"".to_vec();
    line.extend(b"\x80\" 200 612 \"-\" \"caf\xe9\" 49152");
    let mut reader = crate::Reader::new(
        Format::parse("nginx-combined-port").unwrap(),
        crate::Options::new("x"),
    );
    let reading = reader.line(&line, 1);
    assert!(
        matches!(&reading, crate::Reading::Sighting(sighting) if sighting.port == Some(49_152)),
        "{reading:?}"
    );
}

#[test]
fn connections_a_line() {
    insta::assert_snapshot!(read_lines(
        "connection",
        None,
        &[
            "1795258402123 203.0.113.7 49152 192.0.2.80 443 4f2a",
            "1795258402.123 2001:db8::1 49152 2001:db8::80 443 -",
            "1795258402123 203.0.113.7 49152 192.0.2.80",
        ]
    ));
}

#[test]
fn a_start_that_is_certain_beats_an_end_in_the_repeated_hour() {
    let zone = jiff::tz::TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
    insta::assert_snapshot!(read_lines(
        "apache:%{begin:usec}t %{end:%F %T}t %h",
        Some(zone),
        &[
            "1793511000000000 2026-11-01 01:30:00 203.0.113.7",
            "1793597400000000 2026-11-02 00:30:00 203.0.113.7",
        ]
    ));
}

#[test]
fn a_line_with_too_many_readings_is_refused_and_not_searched() {
    let format = "nginx:escape=none $msec $http_referer $remote_addr $http_user_agent";
    let line = format!("1795258402.123 x 203.0.113.7 {}", "y ".repeat(100_000));
    assert!(one(format, &line).contains("two ways"));
}

/// Formats with free text in quotes, without, and several in a row; times of every form.
const FORMATS: &[&str] = &[
    "nginx-combined",
    "nginx-combined-port",
    "apache-common",
    "apache-combined-port",
    "apache-vhost-combined-port",
    "connection",
    r#"nginx:escape=none $time_iso8601 "$http_user_agent" [$remote_addr]:$remote_port"#,
    "nginx:escape=none $msec $remote_user $hostname $remote_addr $remote_port",
    r#"nginx:escape=none $msec "$http_referer" $remote_addr $remote_port "$http_user_agent""#,
    "nginx:$remote_addr:$remote_port [$time_local] $request_time $http_x $status",
    "apache:%u %{begin:msec}t %h %{remote}p %U %D",
    "apache:%v:%p %h %l %u %t %T",
    "nginx:escape=none $msec $http_user_agent $server_addr $remote_addr $remote_port",
];

fn logs() -> impl Iterator<Item = &'static [u8]> {
    let logs: [&[u8]; 5] = [
        include_bytes!("../../tests/fixtures/nginx-combined-port.log"),
        include_bytes!("../../tests/fixtures/nginx-unescaped.log"),
        include_bytes!("../../tests/fixtures/apache-combined-port.log"),
        include_bytes!("../../tests/fixtures/apache-vhost-combined-port.log"),
        b"1795258402123 203.0.113.7 49152 192.0.2.80 443 4f2a\n\
          1795258402.123 a b 203.0.113.7 49152\n\
          203.0.113.7:5 [31/Dec/2026:23:59:60 -0330] 0.25 x 200\n\
          a b 1795258402123 2001:db8::1 1 c 7\n\
          1795258402.123 x 192.0.2.66 y - 203.0.113.7 49152\n\
          www.example.org:443 2001:db8::10 - - [21/Nov/2026:10:53:22 +0100] 3\n",
    ];
    logs.into_iter()
}

/// What both ways of reading say of a line; whether the quick one said anything.
fn both(format: &Format, line: &[u8], recent: &mut Recent) -> bool {
    let Kind::Pattern(pattern) = &format.kind else {
        panic!("{format}");
    };
    let options = crate::Options::new("x");
    let plainly = pattern.read_plainly(line, 1, &options, recent);
    if let Some(found) = &plainly {
        let scanned = pattern.scan(line, 1, &options);
        assert_eq!(
            Ok(found),
            scanned.as_ref(),
            "{format}\n{}",
            line.escape_ascii()
        );
    }
    plainly.is_some()
}

#[test]
fn lines_of_real_servers_are_plain() {
    for (name, log) in ["nginx-combined-port", "apache-combined-port"].iter().zip([
        include_bytes!("../../tests/fixtures/nginx-combined-port.log").as_slice(),
        include_bytes!("../../tests/fixtures/apache-combined-port.log"),
    ]) {
        let (format, mut recent) = (Format::parse(name).unwrap(), Recent::default());
        let mut lines = log
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        assert!(lines.all(|line| both(&format, line, &mut recent)), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What is read at once is what the scan, which looks at every way to read a line, says.
    #[test]
    fn a_plain_line_says_what_the_scan_says(
        at in 0_usize..240,
        gone in 0_usize..6,
        put in prop_oneof![
            "[-0-9a-f.: \"\\\\\\[\\]]{0,12}".prop_map(String::into_bytes),
            Just(b" 192.0.2.66 4242".to_vec()),
            Just(b"\" 200 1 \"-\" \"x\" 4242".to_vec()),
            Just(b" [21/Nov/2026:10:53:22 +0000] \"".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ],
        format in 0..FORMATS.len(),
    ) {
        let (format, mut recent) = (Format::parse(FORMATS[format]).unwrap(), Recent::default());
        for line in logs().flat_map(|log| log.split(|byte| *byte == b'\n')) {
            both(&format, line, &mut recent);
            let mut line = line.to_vec();
            let at = at.min(line.len());
            let end = (at + gone).min(line.len());
            line.splice(at..end, put.iter().copied());
            both(&format, &line, &mut recent);
        }
    }

    /// Every second of a day, in any zone, in whatever order they come.
    #[test]
    fn a_day_that_is_remembered_gives_the_instants_of_one_that_is_not(
        times in proptest::collection::vec((0_u8..=32, 2025_u16..2028, 0_u8..=25, 0_u8..=61, 0_u8..=61, "[+-][0-9]{4}|Z"), 1..20),
    ) {
        let (format, mut recent) = (Format::parse("nginx-combined").unwrap(), Recent::default());
        for (day, year, hour, minute, second, zone) in times {
            let line = format!("203.0.113.7 - - [{day:02}/Feb/{year}:{hour:02}:{minute:02}:{second:02} {zone}] \"\" 200 612 \"-\" \"x\"");
            both(&format, line.as_bytes(), &mut recent);
        }
    }
}
