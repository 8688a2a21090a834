//! A record that is printed through a format string reads back as the same; nothing panics.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{fmt::Write as _, net::IpAddr, time::Duration};

use portledger_model::{Moment, Sighting, Timestamp};
use portledger_servers::{Format, Options, Reader, Reading, guess, names};
use proptest::prelude::*;

/// A field of a format string and what a server writes for it.
#[derive(Debug, Clone)]
enum Piece {
    /// The client's own text.
    Text,
    /// A number of the server's.
    Number,
    ServerPort,
    Duration,
}

#[derive(Debug, Clone)]
struct Record {
    address: IpAddr,
    port: u16,
    millis: i64,
    server_port: u16,
    duration_millis: u64,
    texts: Vec<Vec<u8>>,
}

fn record() -> impl Strategy<Value = Record> {
    let address = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u16; 8]>()
            .prop_map(IpAddr::from)
            .prop_filter("mapped addresses become IPv4", |address| {
                matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_none())
            }),
    ];
    (
        address,
        1_u16..,
        0_i64..4_000_000_000_000,
        any::<u16>(),
        0_u64..10_000_000,
        proptest::collection::vec(text(), 6),
    )
        .prop_map(
            |(address, port, millis, server_port, duration_millis, texts)| Record {
                address,
                port,
                millis,
                server_port,
                duration_millis,
                texts,
            },
        )
}

/// Text that a client chose, so as to pass for what the server writes.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop_oneof![
        Just(b"\" ".to_vec()),
        Just(b"\\\"".to_vec()),
        Just(b" [21/Nov/2026:10:53:22 +0000] \"".to_vec()),
        Just(b"[client 192.0.2.66:4242] ".to_vec()),
        Just(b" 192.0.2.66 4242".to_vec()),
        Just(b"x\" 192.0.2.66 4242 \"y".to_vec()),
        Just(b" - ".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(parts, 0..6).prop_map(|parts| parts.concat())
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        3 => Just(Piece::Text),
        1 => Just(Piece::Number),
        1 => Just(Piece::ServerPort),
        1 => Just(Piece::Duration),
    ];
    proptest::collection::vec(piece, 0..6)
}

/// How a server escapes: nginx with `\xXX`, Apache with backslashes.
type Escape = fn(u8, &mut String);

fn nginx_escape(byte: u8, line: &mut String) {
    match byte {
        b'"' | b'\\' | ..=31 | 127.. => write!(line, "\\x{byte:02X}").unwrap(),
        _ => line.push(byte.into()),
    }
}

fn apache_escape(byte: u8, line: &mut String) {
    match byte {
        b'"' | b'\\' => line.extend(['\\', byte.into()]),
        b'\n' => *line += "\\n",
        ..=31 | 127.. => write!(line, "\\x{byte:02x}").unwrap(),
        _ => line.push(byte.into()),
    }
}

fn escaped(text: &[u8], escape: Escape) -> String {
    let mut line = String::new();
    for byte in text {
        escape(*byte, &mut line);
    }
    line
}

/// The middle of a format string and of the line that it makes.
fn middle(pieces: &[Piece], record: &Record, nginx: bool) -> (String, String) {
    let (mut format, mut line) = (String::new(), String::new());
    let escape: Escape = if nginx { nginx_escape } else { apache_escape };
    for (piece, text) in pieces.iter().zip(&record.texts) {
        let (field, value) = match (piece, nginx) {
            (Piece::Text, true) => (
                "\"$http_user_agent\"",
                format!("\"{}\"", escaped(text, escape)),
            ),
            (Piece::Text, false) => (
                "\"%{User-Agent}i\"",
                format!("\"{}\"", escaped(text, escape)),
            ),
            (Piece::Number, true) => ("$status", "200".to_owned()),
            (Piece::Number, false) => ("%>s", "200".to_owned()),
            (Piece::ServerPort, true) => ("$server_port", record.server_port.to_string()),
            (Piece::ServerPort, false) => ("%{local}p", record.server_port.to_string()),
            (Piece::Duration, true) => {
                let (seconds, rest) = (
                    record.duration_millis / 1_000,
                    record.duration_millis % 1_000,
                );
                ("$request_time", format!("{seconds}.{rest:03}"))
            }
            (Piece::Duration, false) => ("%D", (record.duration_millis * 1_000).to_string()),
        };
        write!(format, " {field}").unwrap();
        write!(line, " {value}").unwrap();
    }
    (format, line)
}

fn read(format: &str, line: &str) -> Sighting {
    let mut reader = Reader::new(Format::parse(format).unwrap(), Options::new("x"));
    match reader.line(line.as_bytes(), 1) {
        Reading::Sighting(sighting) => sighting,
        other => panic!("{format}\n{line}\n{other:?}"),
    }
}

proptest! {
    #[test]
    fn nginx_reads_back(record in record(), pieces in pieces(), bracketed: bool) {
        let (format, line) = middle(&pieces, &record, true);
        let (open, close) = if bracketed { ("[", "]") } else { ("", "") };
        let Record { address, port, millis, .. } = record;
        let format = format!("nginx:{open}$remote_addr{close}:$remote_port $msec{format}");
        let line = format!("{open}{address}{close}:{port} {}.{:03}{line}", millis / 1_000, millis % 1_000);
        let sighting = read(&format, &line);
        let has = |wanted: fn(&Piece) -> bool| pieces.iter().any(wanted);
        prop_assert_eq!((sighting.address, sighting.port), (address, Some(port)));
        prop_assert_eq!(sighting.at, Some(Timestamp::from_millis(millis)));
        prop_assert_eq!(sighting.resolution, Duration::from_millis(1));
        let server = has(|piece| matches!(piece, Piece::ServerPort)).then_some(record.server_port);
        prop_assert_eq!(sighting.destination.port, server);
        let lasted = Duration::from_millis(record.duration_millis);
        let lasted = has(|piece| matches!(piece, Piece::Duration)).then_some(lasted);
        prop_assert_eq!(sighting.lasted, lasted);
    }

    #[test]
    fn apache_reads_back(record in record(), pieces in pieces()) {
        let (format, line) = middle(&pieces, &record, false);
        let Record { address, port, millis, .. } = record;
        let format = format!("apache:%u %{{begin:msec}}t{format} %h %{{remote}}p");
        // Free text without quotes, as a client that means no harm writes it.
        let line = format!("plain words {millis}{line} {address} {port}");
        let sighting = read(&format, &line);
        prop_assert_eq!((sighting.address, sighting.port), (address, Some(port)));
        let lasted = Duration::from_millis(record.duration_millis);
        if pieces.iter().any(|piece| matches!(piece, Piece::Duration)) {
            prop_assert_eq!(sighting.at, Some(Timestamp::from_millis(millis).after(lasted)));
            prop_assert_eq!((sighting.moment, sighting.lasted), (Moment::RequestEnd, Some(lasted)));
        } else {
            prop_assert_eq!(sighting.at, Some(Timestamp::from_millis(millis)));
            prop_assert_eq!((sighting.moment, sighting.lasted), (Moment::RequestStart, None));
        }
    }

    /// Where quotes are not escaped a client may make a line unreadable, but never another's.
    #[test]
    fn an_unescaped_client_passes_for_nobody(record in record()) {
        let format = "nginx:escape=none $msec \"$http_referer\" $remote_addr $remote_port \"$http_user_agent\"";
        let (referer, agent) = (&record.texts[0], &record.texts[1]);
        let mut line = b"1795258402.000 \"".to_vec();
        line.extend(referer);
        line.extend(format!("\" {} {} \"", record.address, record.port).as_bytes());
        line.extend(agent);
        line.push(b'"');
        let mut reader = Reader::new(Format::parse(format).unwrap(), Options::new("x"));
        if let Reading::Sighting(sighting) = reader.line(&line, 1) {
            prop_assert_eq!((sighting.address, sighting.port), (record.address, Some(record.port)));
        }
    }

    #[test]
    fn no_line_panics(lines: Vec<Vec<u8>>) {
        for (name, _) in names() {
            let mut reader = Reader::new(Format::named(name).unwrap(), Options::new("x"));
            for line in &lines {
                reader.line(line, 1);
            }
        }
    }

    /// Real lines with a few bytes changed reach further into the readers than random ones.
    #[test]
    fn no_mutated_line_panics(at in 0_usize..200, bytes: Vec<u8>, cut in 0_usize..200) {
        let logs: [&[u8]; 13] = [
            include_bytes!("fixtures/nginx-combined-port.log"),
            include_bytes!("fixtures/apache-vhost-combined-port.log"),
            include_bytes!("fixtures/apache-error.log"),
            include_bytes!("fixtures/sshd.log"),
            include_bytes!("fixtures/web/haproxy.log"),
            include_bytes!("fixtures/web/squid-combined-port.log"),
            include_bytes!("fixtures/web/caddy-iso.log"),
            include_bytes!("fixtures/documented/iis.log"),
            include_bytes!("fixtures/documented/cloudfront.log"),
            include_bytes!("fixtures/documented/aws-alb.log"),
            include_bytes!("fixtures/documented/traefik.log"),
            include_bytes!("fixtures/documented/envoy-istio.log"),
            b"2026-11-21T10:53:22.123456+01:00 host sshd[1]: Failed none for x from 203.0.113.7 port 49152 ssh2\ntime,ip\n\"2026-11-21T10:53:22Z\",\"203.0.113.7:1\"\n",
        ];
        for log in logs {
            let lines: Vec<Vec<u8>> = log.split(|byte| *byte == b'\n').map(|line| {
                let mut line = line.to_vec();
                line.truncate(line.len().saturating_sub(cut % 7));
                let at = at.min(line.len());
                line.splice(at..at, bytes.iter().copied());
                line
            }).collect();
            for (name, _) in names() {
                let mut reader = Reader::new(Format::named(name).unwrap(), Options::new("x"));
                lines.iter().for_each(|line| drop(reader.line(line, 1)));
            }
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            let _ = guess(&lines);
        }
    }

    #[test]
    fn no_format_string_panics(
        string in "(%>a|%>p|%ts|%6tr|%ci|%cp|%t|%tr|%\\{\\+Q\\}r|%\\[src\\]|%START_TIME(\\(%[sf3Y]\\))?%|%DOWNSTREAM_REMOTE_ADDRESS%|%\\{VSL:ReqStart\\}x|%\\{[yMdHmsSZ' ]{0,6}\\}t|\\$remote_addr|\\$time_local|\\$msec|\\$\\{remote_port\\}|%h|%t|%\\{[a-z%:_]{0,6}\\}[tpa]|%[!0-9,>]{0,3}[a-zA-Z^]|[ \"\\\\:é%$\\[\\]]){0,8}",
        line: Vec<u8>,
    ) {
        for server in ["nginx:", "apache:", "nginx:escape=none ", "tomcat:", "lighttpd:", "squid:", "varnishncsa:", "haproxy:", "envoy:", ""] {
            if let Ok(format) = Format::parse(&format!("{server}{string}")) {
                Reader::new(format, Options::new("x")).line(&line, 1);
            }
        }
    }
}
