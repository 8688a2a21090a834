//! Lines that nginx 1.22.1, Apache httpd 2.4.71 and OpenSSH 9.2p1 wrote on loopback, to clients
//! whose source ports were chosen and whose user agents, user names and requests tried to pass for
//! other endpoints.
#![allow(clippy::unwrap_used)]

use portledger_servers::{Counts, Format, Options, Reader, Reading, Strip};

struct Read {
    ports: Vec<Option<u16>>,
    text: String,
    counts: Counts,
}

fn read(format: &str, log: &[u8]) -> Read {
    let mut reader = Reader::new(Format::parse(format).unwrap(), Options::new("x.log"));
    let (mut ports, mut text) = (Vec::new(), String::new());
    for (line, number) in log.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        text += &match reader.line(line, number) {
            Reading::Sighting(sighting) => {
                ports.push(sighting.port);
                format!(
                    "{number} {} {:?} {:?} {:?} {:?} lasted {:?}\n",
                    sighting.address,
                    sighting.port,
                    sighting.at.map(|at| at.to_string()),
                    sighting.resolution,
                    sighting.moment,
                    sighting.lasted
                )
            }
            Reading::Skipped(skip) => format!("{number} skipped: {skip}\n"),
            Reading::Rejected(rejection) => format!("{number} rejected: {rejection}\n"),
        };
    }
    Read {
        ports,
        text,
        counts: reader.counts().clone(),
    }
}

/// The ports that the clients chose: 13 connections over IPv4, then 13 over IPv6.
fn chosen() -> Vec<Option<u16>> {
    (2026..=2038).chain(41_000..=41_012).map(Some).collect()
}

const JSON: &str = r#"nginx:escape=json {"at":$msec,"took":$request_time,"client":"$remote_addr","port":"$remote_port","server":"$server_addr:$server_port","request":"$request","agent":"$http_user_agent"}"#;
const UNESCAPED: &str =
    r#"nginx:escape=none $time_iso8601 "$http_user_agent" [$remote_addr]:$remote_port"#;
const EXACT: &str = r#"apache:%{begin:usec}t %D %a:%{remote}p %A:%{local}p %{end:%F %T}t.%{end:usec_frac}t "%{Forwarded}i" %400{User-agent}i"#;

#[test]
fn nginx_lines_have_the_ports_that_were_used() {
    let logs: [(&str, &[u8]); 3] = [
        (
            "nginx-combined-port",
            include_bytes!("fixtures/nginx-combined-port.log"),
        ),
        (JSON, include_bytes!("fixtures/nginx-json.log")),
        (UNESCAPED, include_bytes!("fixtures/nginx-unescaped.log")),
    ];
    for (format, log) in logs {
        let read = read(format, log);
        assert_eq!(read.ports, chosen(), "{format}\n{}", read.text);
        assert_eq!(read.counts.rejected, [], "{format}");
    }
    insta::assert_snapshot!(read(JSON, include_bytes!("fixtures/nginx-json.log")).text);
}

#[test]
fn apache_lines_have_the_ports_that_were_used() {
    let logs: [(&str, &[u8]); 3] = [
        (
            "apache-combined-port",
            include_bytes!("fixtures/apache-combined-port.log"),
        ),
        (
            "apache-vhost-combined-port",
            include_bytes!("fixtures/apache-vhost-combined-port.log"),
        ),
        (EXACT, include_bytes!("fixtures/apache-exact.log")),
    ];
    for (format, log) in logs {
        let read = read(format, log);
        let (usual, later) = read.ports.split_at(26);
        assert_eq!(usual, chosen(), "{format}\n{}", read.text);
        // Last, one that sent half a request, and one more over IPv6.
        let tail = [Some(42_002), Some(42_012)];
        assert_eq!(
            later.split_at(later.len() - 2).1,
            tail,
            "{format}\n{}",
            read.text
        );
        assert_eq!(read.counts.rejected, [], "{format}");
    }
    insta::assert_snapshot!(read(EXACT, include_bytes!("fixtures/apache-exact.log")).text);
}

#[test]
fn behind_mod_remoteip_the_port_is_gone() {
    let read = read(
        "apache-combined-port",
        include_bytes!("fixtures/apache-remoteip.log"),
    );
    assert_eq!(read.ports, [None, None]);
    assert_eq!(read.counts.port_zero, 2);
}

#[test]
fn apache_errors_have_the_client() {
    insta::assert_snapshot!(read("apache-error", include_bytes!("fixtures/apache-error.log")).text);
}

#[test]
fn sshd_lines_have_the_client() {
    insta::assert_snapshot!(read("sshd", include_bytes!("fixtures/sshd.log")).text);
}

/// What the servers wrote, up to the last space: the port is the last column.
#[test]
fn real_lines_lose_their_port_and_nothing_else() {
    let logs: [(&str, &str); 3] = [
        (
            "nginx-combined-port",
            include_str!("fixtures/nginx-combined-port.log"),
        ),
        (
            "apache-combined-port",
            include_str!("fixtures/apache-combined-port.log"),
        ),
        (
            "apache-vhost-combined-port",
            include_str!("fixtures/apache-vhost-combined-port.log"),
        ),
    ];
    for (name, log) in logs {
        let strip = Strip::new(&Format::named(name).unwrap()).unwrap();
        for line in log.split_inclusive('\n') {
            let mut stripped = Vec::new();
            assert!(strip.line(line.as_bytes(), &mut stripped), "{name}: {line}");
            let expected = line.rsplit_once(' ').unwrap().0.to_owned() + "\n";
            assert_eq!(String::from_utf8(stripped).unwrap(), expected, "{name}");
        }
    }
}
