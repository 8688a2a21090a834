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
