//! What holds between a change and the reader of the lines that come of it.

use portledger_model::{Sighting, Zone};
use portledger_servers::{Format, FormatError, Options, Reader, Reading, names};

use super::*;
use crate::{Wish, testing::Image};

/// The server, its configuration, and lines that it writes once the change is made: each as a real
/// one wrote it, the exceptions (from documentation) being Oracle's, Exchange's and MariaDB 12's.
const LINES: &[(&str, &str, &str, &str)] = &[
    (
        "openssh",
        "/etc/ssh/sshd_config",
        "LogLevel ERROR\n",
        "2026-11-29T19:08:36.123456+01:00 vm sshd[123]: Failed password for root from 203.0.113.7 port 40123 ssh2",
    ),
    (
        "postfix",
        "/etc/postfix/main.cf",
        "",
        "2026-11-29T19:08:36.123456+01:00 vm postfix/smtpd[123]: connect from unknown[203.0.113.7]:40123",
    ),
    (
        "sendmail",
        "/etc/mail/sendmail.cf",
        "Klog syslog\nSLocal_check_relay\nR$*\t\t$: $(log Port_Stat $&{client_addr} $&{client_port} $) $1\n",
        "2026-11-29T19:08:36.123456+01:00 vm sm-mta[1]: Port_Stat.203.0.113.7.40123",
    ),
    (
        "exim",
        "/etc/exim/exim.conf",
        "",
        "2026-11-29 19:08:36 +0100 SMTP connection from [203.0.113.7]:40123 (TCP/IP connection count = 1)",
    ),
    (
        "dovecot",
        "/etc/dovecot/dovecot.conf",
        "",
        "2026-11-29T19:08:36.123456+01:00 vm dovecot: imap-login: Disconnected: rip=203.0.113.7, rport=40123, lip=192.0.2.25, lport=143",
    ),
    (
        "cyrus",
        "/etc/imapd.conf",
        "",
        r#"Nov 29 19:08:36 vm notifyd[1]: EVENT, , , ,  "{"event":"Login","timestamp":"2026-11-29T18:08:36.500Z","service":"imap","serverDomain":"192.0.2.1","serverPort":143,"clientIP":"203.0.113.7","clientPort":40123,"user":"x"}""#,
    ),
    (
        "postgresql",
        "/etc/postgresql/15/main/postgresql.conf",
        "",
        "2026-11-29 18:08:36.123 UTC [7] LOG:  connection received: host=203.0.113.7 port=40123",
    ),
    (
        "postgresql",
        "/etc/postgresql/15/main/postgresql.conf",
        "log_line_prefix = '%m [%p] %q%u@%d '\n",
        "2026-11-29 18:08:36.123 UTC [7] [unknown]@[unknown] LOG:  connection received: host=203.0.113.7 port=40123",
    ),
    (
        "bind",
        "/etc/bind/named.conf",
        "logging { channel q { file \"/q\"; print-category yes; }; category queries { q; }; };\n",
        "2026-11-29T18:08:32.943Z queries: client @0x7ff2674ea898 203.0.113.7#40123 (example.org): query: example.org IN A +E(0)TK (127.0.0.1)",
    ),
    (
        "proftpd",
        "/etc/proftpd/proftpd.conf",
        "",
        "1795979336437 203.0.113.7 40123 ::ffff:192.0.2.1 2121 22862",
    ),
    (
        "mosquitto",
        "/etc/mosquitto/mosquitto.conf",
        "log_dest file /m\n",
        "1795979287: New connection from 203.0.113.7:40123 on port 18830.",
    ),
    (
        "redis",
        "/etc/redis/redis.conf",
        "logfile /r\n",
        "19849:M 29 Nov 2026 19:08:09.725 - Accepted 203.0.113.7:40123",
    ),
    (
        "openldap",
        "/etc/ldap/slapd.conf",
        "",
        "2026-11-29T19:08:36.123456+01:00 vm slapd[1]: conn=1000 fd=12 ACCEPT from IP=203.0.113.7:40123 (IP=0.0.0.0:389)",
    ),
    (
        "mysql",
        "/etc/mysql/my.cnf",
        "",
        "20261129 19:08:36,vm,alice,203.0.113.7:40123,4,0,CONNECT,,,0",
    ),
    (
        "oracle",
        "/opt/oracle/product/19/dbhome/network/admin/listener.ora",
        "ADR_BASE_LISTENER = /a\n",
        "29-NOV-2026 19:08:36 * (CONNECT_DATA=(SERVICE_NAME=x)) * (ADDRESS=(PROTOCOL=tcp)(HOST=203.0.113.7)(PORT=40123)) * establish * x * 0",
    ),
    (
        "exchange",
        "/tmp/connectors.txt",
        "Identity : MX\\D\nProtocolLoggingLevel : Verbose\n",
        "#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\n2026-11-29T18:08:36.123Z,MX\\D,08D9A,0,192.0.2.25:25,203.0.113.7:40123,+,,",
    ),
];

fn sighting(format: &str, line: &str) -> Option<Sighting> {
    let mut options = Options::new("log");
    options.reference = Some("2026-11-29T20:00:00Z".parse().unwrap());
    let mut reader = Reader::new(Format::parse(format).unwrap(), options);
    let lines: Vec<&str> = line.lines().collect();
    let (last, before) = lines.split_last().unwrap();
    for header in before {
        reader.line(header.as_bytes(), 1);
    }
    match reader.line(last.as_bytes(), 2) {
        Reading::Sighting(sighting) => Some(sighting),
        other => panic!("{format}: {line}: {other:?}"),
    }
}

#[test]
fn what_a_change_has_written_is_read_with_its_port_and_its_instant() {
    for (name, path, conf, line) in LINES {
        let server = named(name).unwrap();
        let image = Image::default()
            .with(path, conf)
            .with(
                "/etc/cyrus.conf",
                "SERVICES {\n notify cmd=\"notifyd\" listen=\"/n\" proto=\"udp\"\n}\n",
            )
            .with("/a/diag/tnslsnr/h/listener/trace/listener.log", "")
            .with(
                "/etc/rsyslog.conf",
                "*.* /var/log/all;RSYSLOG_TraditionalFileFormat\n",
            )
            .with(
                "/var/lib/dpkg/status",
                "Package: mariadb-server\nStatus: install ok installed\nVersion: 12.0.2-1\n\n",
            );
        let change = crate::fix(server, &image, path, Wish::InPlace).unwrap();
        let after = server.look(&image.after(&change), path).unwrap();
        let mut logs = after.logs.iter();
        let log = logs.find(|log| log.records.source_port).unwrap();
        let read = sighting(log.format.as_deref().unwrap(), line).unwrap();
        assert_eq!(read.address.to_string(), "203.0.113.7", "{name}");
        assert_eq!(read.port, Some(40123), "{name}");
        let is_exact = !matches!(read.zone, Zone::Missing);
        assert_eq!(is_exact, log.records.time_utc, "{name}: {read:?}");
    }
}

/// The headings that every page has, in this order.
const HEADINGS: [&str; 4] = [
    "## What to change",
    "## What it costs",
    "## Behind a proxy",
    "## The time",
];

#[test]
fn every_server_has_its_row_and_its_page() {
    let mut seen = Vec::new();
    for server in all() {
        let facts = server.facts();
        assert!(!seen.contains(&&facts.name), "{}", facts.name);
        seen.push(&facts.name);
        let page = server.guide();
        assert!(page.starts_with(&format!("# {}\n", facts.title)), "{page}");
        let headings: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        assert_eq!(headings, HEADINGS, "{}", facts.name);
        assert!(!facts.how.is_empty());
    }
}

#[test]
fn the_formats_that_are_named_can_be_read() {
    for server in all() {
        for format in &server.facts().formats {
            let is_known = match format.split_once(':') {
                // A wrong name would be said to be no format at all.
                Some((server, _)) => !matches!(
                    Format::parse(&format!("{server}:")),
                    Err(FormatError::Name { .. })
                ),
                None => names().any(|(name, _)| name == format),
            };
            assert!(is_known, "{format}");
        }
    }
}
