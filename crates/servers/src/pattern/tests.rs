//! Lines of the HTTP servers, and the traps in them.

mod plain;

use crate::{
    Format,
    testing::{read_lines, read_trusting},
};

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

/// What a PROXY protocol header told counts where no proxy is named, and where one is, from a
/// trusted one only; a hop's own port never goes with the client's address.
#[test]
fn what_a_hop_tells_counts_if_it_is_trusted() {
    let told = "nginx:$msec $remote_addr $remote_port $proxy_protocol_addr $proxy_protocol_port";
    let believed = "nginx:$msec $realip_remote_addr $realip_remote_port $remote_addr $remote_port";
    let headers =
        r#"nginx:$msec $remote_addr $remote_port "$http_x_forwarded_for" "$http_forwarded""#;
    let chain = concat!(
        "nginx:$msec $remote_addr $remote_port $proxy_protocol_addr $proxy_protocol_port ",
        "$http_x_forwarded_for"
    );
    insta::assert_snapshot!(
        [
            (told, "1795258402.123 192.0.2.10 50000 203.0.113.7 49152"),
            (told, "1795258402.123 198.51.100.9 50000 203.0.113.7 49152"),
            (told, "1795258402.123 203.0.113.7 49152 203.0.113.7 49152"),
            (told, "1795258402.123 192.0.2.10 50000 - -"),
            (believed, "1795258402.123 192.0.2.10 50000 203.0.113.7 49152"),
            (headers, r#"1795258402.123 192.0.2.10 50000 "203.0.113.7" "-""#),
            (headers, r#"1795258402.123 192.0.2.10 50000 "203.0.113.66, 203.0.113.7:49152" "-""#),
            (headers, r#"1795258402.123 192.0.2.10 50000 "-" "for=\x22[2001:db8::1]:4711\x22;proto=https""#),
            (headers, r#"1795258402.123 192.0.2.10 50000 "-" "for=_hidden""#),
            (headers, r#"1795258402.123 192.0.2.10 50000 "203.0.113.7" "for=203.0.113.66""#),
            (headers, r#"1795258402.123 192.0.2.10 50000 "-" "-""#),
            (headers, r#"1795258402.123 198.51.100.9 50000 "203.0.113.7:49152" "for=203.0.113.7""#),
            (chain, "1795258402.123 192.0.2.10 50000 192.0.2.11 50001 203.0.113.7"),
            ("nginx:$msec $remote_addr $remote_port", "1795258402.123 192.0.2.10 50000"),
            (
                r#"apache:%{sec}t %a %{remote}p "%{Forwarded}i""#,
                r#"1795258402 192.0.2.10 50000 "for=\"[2001:db8::1]:4711\"""#,
            ),
            (
                "haproxy:%Ts %ci %cp %{+Q}[req.fhdr(x-forwarded-for)]",
                r#"1795258402 192.0.2.10 50000 "203.0.113.66, 203.0.113.7""#,
            ),
            // The header decides who the client is: a line with two readings of it names nobody.
            (
                "haproxy:%Ts %[req.fhdr(x-forwarded-for)] %[req.fhdr(user-agent)] %ci %cp",
                "1795258402 203.0.113.7 203.0.113.8 x 192.0.2.10 50000",
            ),
        ]
        .map(|(format, line)| read_trusting(format, &[line]))
        .concat()
    );
}

#[test]
fn format_strings_of_other_servers() {
    insta::assert_snapshot!(
        [
            ("tomcat:combined", r#"2001:db8:0:0:0:0:0:1 - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 2 "-" "a \"b\"""#),
            ("tomcat:%t %D %a %{remote}p", "[21/Nov/2026:10:53:22 +0000] 2300 203.0.113.7 49152"),
            ("tomcat:%{begin}t %{ms}T %a %{remote}p", "[21/Nov/2026:10:53:22 +0000] 2300 203.0.113.7 49152"),
            ("tomcat:%{begin:msec}t %{ms}T %{peer}a %a %{remote}p", "1795258402123 2300 192.0.2.9 203.0.113.7 49152"),
            ("tomcat:%{begin:yyyy-MM-dd}t %{begin:HH:mm:ss.SSS XXX}t %h", "2026-11-21 10:53:22.123 +01:00 203.0.113.7"),
            ("lighttpd:%h:%{remote}p %t %D", "2001:db8::1:49152 [21/Nov/2026:10:53:22 +0000] 2300000"),
            ("lighttpd:%a %{remote}p %{end:msec}t", "203.0.113.7 49152 1795258402124"),
            ("squid:squid", r#"1795258402.123   2300 203.0.113.7 TCP_MISS/200 255 GET http://example.org/a"b - HIER_DIRECT/192.0.2.80 text/html"#),
            ("squid:%>a:%>p [%{%FT%T%z}tl] %6tr", "2001:db8::1:49152 [2026-11-21T10:53:22+0100]   2300"),
            ("squid:combined", r#"203.0.113.7 - eve [21/Nov/2026:10:53:22 +0000] "GET http://example.org/ HTTP/1.1" 200 255 "-" "a \"b\"" TCP_MISS:HIER_DIRECT"#),
            ("varnishncsa:%t %{VSL:ReqStart[1]}x %{VSL:ReqStart[2]}x %D", "[21/Nov/2026:10:53:22 +0000] 203.0.113.7 49152 2300000"),
            ("varnishncsa:%{VSL:Timestamp:Start[1]}x %{VSL:Timestamp:Resp[2]}x %{VSL:ReqStart}x", "1795258402.123456 2.300000 203.0.113.7 49152 a0"),
            ("haproxy:%ci:%cp\\ [%t]\\ %Tt\\ %fi:%fp", "2001:db8::1:49152 [21/Nov/2026:10:53:22.123] 2300 2001:db8::80:443"),
            ("haproxy:%{+Q}o %ci %cp %Ts %ms %r %{-Q}HM", r#""203.0.113.7" 49152 1795258402 123 "GET / HTTP/1.1" GET"#),
            ("haproxy:%trl %ci %cp %Ta", "21/Nov/2026:10:53:22 +0100 203.0.113.7 49152 -1"),
            ("haproxy:[%trg] %[src] %[src_port] %[var(txn.a[1])]", "[21/Nov/2026:10:53:22 +0000] 203.0.113.7 49152 x"),
            ("envoy:%START_TIME(%s.%6f)% %DURATION% %DOWNSTREAM_REMOTE_ADDRESS%\\n", "1795258402.123456 2300 [2001:db8::1]:49152"),
            ("envoy:%START_TIME(%Y/%m/%dT%H:%M:%S.%3f)% %DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "2026/11/21T10:53:22.123 203.0.113.7:0 192.0.2.9:50000"),
            ("envoy:[%START_TIME%] %DURATION% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT% %REQ(:PATH):20% %RESPONSE_CODE%", "[2026-11-21T10:53:22.123Z] 2300 203.0.113.7 49152 /a 200"),
        ]
        .map(|(format, line)| format!("{format}\n    {}", one(format, line)))
        .concat()
    );
}

#[test]
fn format_strings_of_other_servers_that_cannot_be_read() {
    let envoy = format!("envoy:{}", super::envoy::DEFAULT);
    let refusals: Vec<String> = [
        "tomcat:%h %{hh:mm}t",
        "tomcat:%h %{yyyy-MM-dd}t",
        "tomcat:%h %t %O",
        "lighttpd:%h %t %{x}S",
        "squid:%>a %ts.%tu",
        "squid:%>a %tl %-10un",
        "squid:%>a %tl %'ru",
        "squid:%>a %tl %nothing",
        "varnishncsa:%h %t %a",
        "haproxy:%ci %cp",
        "haproxy:%ci %cp %t %{+X}ms",
        "haproxy:%ci %cp %t %zz",
        "haproxy:%ci %cp %t %[src",
        "envoy:%START_TIME_LOCAL% %DOWNSTREAM_REMOTE_ADDRESS%",
        "envoy:%START_TIME(%c)% %DOWNSTREAM_REMOTE_ADDRESS%",
        "envoy:%START_TIME% %DOWNSTREAM_REMOTE_ADDRESS",
        &envoy,
    ]
    .iter()
    .map(|text| {
        let shown: String = text.chars().take(60).collect();
        format!("{shown}: {}", Format::parse(text).unwrap_err())
    })
    .collect();
    insta::assert_snapshot!(refusals.join("\n"));
}

/// Lines of several formats in one file, with either end of line, in any encoding, cut short.
#[test]
fn what_is_not_of_the_format_stops_nothing() {
    let lines: Vec<String> = [
        "203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] \"GET / HTTP/1.1\" 200 612 \"-\" \"x\" 49152\r\n",
        "1795977555.142      1 203.0.113.7 TCP_MISS/200 255 GET http://example.org/ - HIER_DIRECT/192.0.2.80 - 2026\n",
        "{\"ts\":1795977150.5,\"request\":{\"remote_ip\":\"203.0.113.7\",\"remote_port\":\"49152\"}}\n",
        "2\u{0}0\u{0}3\u{0}.\u{0}0\u{0}\n",
        "\u{feff}203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] \"GET / HTTP/1.1\" 200 612 \"-\" \"x\" 49152\n",
        "203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] \"GET / HTTP/1.1\" 200 612 \"-\" \"x\n",
        "2001:db8:0:0:0:0:0:7 - - [21/Nov/2026:10:53:22 +0000] \"GET / HTTP/1.1\" 200 612 \"-\" \"x\" 2026\n",
    ]
    .map(str::to_owned)
    .to_vec();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    insta::assert_snapshot!(read_lines("tomcat-combined-port", None, &lines));
}

/// No line takes long, however its free text is made.
#[test]
fn huge_lines_take_a_bounded_time() {
    let junk = "\" x\" [y] 1 2 3/4 , - ".repeat(50_000);
    let started = std::time::Instant::now();
    for (name, _) in crate::names() {
        let format = Format::named(name).unwrap();
        let mut reader = crate::Reader::new(format, crate::Options::new("x"));
        for start in [
            "",
            "203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] \"",
            "[2026-11-21T10:53:22.123Z] \"GET ",
            "203.0.113.7:1 [21/Nov/2026:10:53:22.123] ",
            "{\"ts\":1,\"request\":{\"headers\":{\"X-Forwarded-For\":[\"",
            "1795977555.142      1 203.0.113.7 TCP_MISS/200 255 GET ",
        ] {
            reader.line(format!("{start}{junk}").as_bytes(), 1);
        }
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn headers_that_haproxy_captures_may_be_none() {
    let own = "haproxy:%ci:%cp [%trg] %ft %hr %hs %{+Q}r";
    let begin = "203.0.113.7:49152 [21/Nov/2026:10:53:22 +0000] web ";
    let end = r#""GET /{ HTTP/1.1""#;
    for captured in [
        "",
        "{a.example.org|192.0.2.66:4242 [x] y z} ",
        "{a|} {text/html} ",
        "{} {} ",
    ] {
        let line = format!("{begin}{captured}{end}");
        let read = read_lines(own, None, &[&line]);
        let client = r#""address":"203.0.113.7","port":49152,"#;
        assert!(read.starts_with(client), "{line}: {read}");
    }
    // Where nothing fixed follows, what is captured is a column like another.
    let column = "haproxy:[%trg] %hr %ci:%cp";
    let time = "[21/Nov/2026:10:53:22 +0000]";
    let line = format!("{time} {{a}} 203.0.113.7:49152");
    assert!(read_lines(column, None, &[&line]).contains("49152"));
    let without = format!("{time} 203.0.113.7:49152");
    assert!(read_lines(column, None, &[&without]).starts_with("rejected"));
}
