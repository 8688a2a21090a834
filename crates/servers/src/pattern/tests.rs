//! Lines of the HTTP servers, and the traps in them.

use crate::{Format, testing::read_lines};

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
