//! Lines that Debian 12's mail, database, DNS, FTP and directory servers wrote on loopback, to
//! clients whose source ports were chosen, one of them the year, and whose HELO, user and query
//! names tried to pass for other endpoints (192.0.2.66, port 4242).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use portledger_servers::{Counts, Format, Options, Reader, Reading, guess, names};
use proptest::prelude::*;

const V4: &str = "203.0.113.7";
const V6: &str = "2001:db8::7";

struct Read {
    seen: BTreeSet<(String, Option<u16>)>,
    without_time: usize,
    counts: Counts,
}

fn read(format: &str, log: &[u8]) -> Read {
    let mut options = Options::new("x.log");
    options.zone = Some(TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap());
    options.reference = Some("2026-11-30T00:00:00Z".parse().unwrap());
    let mut reader = Reader::new(Format::parse(format).unwrap(), options);
    let (mut seen, mut without_time) = (BTreeSet::new(), 0);
    for (line, number) in log.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        if let Reading::Sighting(sighting) = reader.line(line, number) {
            seen.insert((sighting.address.to_string(), sighting.port));
            without_time += usize::from(sighting.at.is_none());
        }
    }
    Read {
        seen,
        without_time,
        counts: reader.counts().clone(),
    }
}

/// Reads the log, and wants exactly the endpoints that the clients had.
fn check(format: &str, log: &[u8], v4: &[u16], v6: &[u16]) -> Read {
    let read = read(format, log);
    let of = |address: &str, ports: &[u16]| -> Vec<_> {
        ports
            .iter()
            .map(|port| (address.to_owned(), Some(*port)))
            .collect()
    };
    let expected: BTreeSet<_> = [of(V4, v4), of(V6, v6)].concat().into_iter().collect();
    assert_eq!(read.seen, expected, "{format}: {:?}", read.counts);
    assert_eq!(read.without_time, 0, "{format}");
    read
}

fn check_whole(format: &str, log: &[u8], v4: &[u16], v6: &[u16]) {
    let read = check(format, log, v4, v6);
    assert_eq!(read.counts.rejected, [], "{format}");
}

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("fixtures/", $name))
    };
}

#[test]
fn postfix_with_port_logging_and_postscreen() {
    let v4 = [
        42_000, 42_001, 42_002, 42_003, 2026, 42_005, 42_006, 42_100, 42_101,
    ];
    check_whole(
        "postfix",
        fixture!("postfix.log"),
        &v4,
        &[42_007, 42_008, 42_102],
    );
    let v4 = [42_000, 42_001, 42_002, 42_003, 42_100, 42_101];
    check_whole(
        "postfix",
        fixture!("postfix-traditional.log"),
        &v4,
        &[42_007, 42_102],
    );
}

#[test]
fn sendmail_with_the_recipe_of_rfc_7768() {
    let read = read("sendmail", fixture!("sendmail.log"));
    let v4 = [49_000, 49_001, 49_002, 49_003, 2026, 49_005, 49_006].map(|port| (V4, Some(port)));
    let v6 = [49_007, 49_008].map(|port| (V6, Some(port)));
    // `connect from` stands above the line that has the port.
    let without = [(V4, None), (V6, None)];
    let expected = [&v4[..], &v6, &without].concat().into_iter();
    let expected: BTreeSet<_> = expected
        .map(|(address, port)| (address.to_owned(), port))
        .collect();
    assert_eq!(read.seen, expected);
    assert_eq!(read.counts.rejected, []);
}

#[test]
fn exim_in_its_own_file() {
    let v4 = [43_000, 43_001, 43_002, 43_003, 2026, 43_005, 43_006];
    check_whole("exim", fixture!("exim.log"), &v4, &[43_007, 43_008]);
    let v4 = [43_100, 43_101, 43_102, 43_103, 2026, 43_105, 43_106];
    check_whole("exim", fixture!("exim-zone.log"), &v4, &[43_107, 43_108]);
}

#[test]
fn dovecot_has_the_port_with_and_without_rport() {
    check_whole(
        "dovecot",
        fixture!("dovecot-rport.log"),
        &[41_000, 41_001, 41_002, 41_003, 2027],
        &[41_005, 41_006],
    );
    check_whole(
        "dovecot",
        fixture!("dovecot.log"),
        &[41_100, 41_101, 41_102, 41_103, 2028],
        &[41_105, 41_106],
    );
}

#[test]
fn postgresql_in_every_form() {
    let ports = |base: u16| [base, base + 1, base + 2, base + 3, 2026, base + 6];
    let (a, b, c) = (ports(44_000), ports(44_100), ports(44_200));
    check_whole(
        "postgresql",
        fixture!("postgresql-default.log"),
        &a,
        &[44_004],
    );
    check_whole(
        "postgresql",
        fixture!("postgresql-prefix.log"),
        &b,
        &[44_104],
    );
    check_whole(
        "postgresql:%m [%p] %r ",
        fixture!("postgresql-prefix.log"),
        &b,
        &[44_104],
    );
    check_whole("postgresql-csv", fixture!("postgresql.csv"), &b, &[44_104]);
    check_whole(
        "postgresql-json",
        fixture!("postgresql.json"),
        &b,
        &[44_104],
    );
    // The zone's abbreviation says nothing: without a zone there is no time.
    let mut reader = Reader::new(
        Format::parse("postgresql:%t [%p] %u@%d %a %h(%c) ").unwrap(),
        Options::new("x.log"),
    );
    let log: &[u8] = fixture!("postgresql-newyork.log");
    let mut seen = 0;
    for (line, number) in log.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        if let Reading::Sighting(sighting) = reader.line(line, number) {
            assert!([V4, V6].contains(&sighting.address.to_string().as_str()));
            assert_eq!((sighting.port, sighting.at), (None, None));
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
    assert_eq!(c.len(), 6);
}

#[test]
fn mariadb_has_addresses_only() {
    let addresses = BTreeSet::from([(V4.to_owned(), None), (V6.to_owned(), None)]);
    let audit = read("mariadb-audit", fixture!("mariadb-audit.log"));
    assert_eq!(audit.seen, addresses, "{:?}", audit.counts);
    let errors = read("mysql-error", fixture!("mariadb-error.log"));
    assert_eq!(errors.seen, addresses, "{:?}", errors.counts);
    assert_eq!(errors.counts.rejected, []);
}

#[test]
fn bind_in_its_channels_and_through_syslog() {
    let v4 = [46_000, 46_001, 46_003, 2026, 46_005];
    for log in [
        &fixture!("bind-local.log")[..],
        fixture!("bind-utc.log"),
        fixture!("bind-syslog.log"),
    ] {
        check_whole("bind", log, &v4, &[46_002, 46_006]);
    }
}

#[test]
fn ftp_servers() {
    let v4 = [47_000, 47_001];
    check_whole(
        r#"proftpd:%t %a:%{remote-port} %A "%r" %s"#,
        fixture!("proftpd-extended.log"),
        &v4,
        &[47_002],
    );
    check_whole(
        r#"proftpd:%{iso8601} %P [%a]:%{remote-port} %V:%p %u "%r" %s"#,
        fixture!("proftpd-iso.log"),
        &v4,
        &[47_002],
    );
    let addresses = BTreeSet::from([(V4.to_owned(), None), (V6.to_owned(), None)]);
    for (format, log) in [
        ("proftpd", &fixture!("proftpd-system.log")[..]),
        ("vsftpd", fixture!("vsftpd.log")),
    ] {
        assert_eq!(read(format, log).seen, addresses, "{format}");
    }
}

#[test]
fn slapd_and_what_writes_one_line_a_connection() {
    check_whole(
        "slapd",
        fixture!("slapd.log"),
        &[48_300, 48_301, 2026],
        &[48_302],
    );
    check_whole("redis", fixture!("redis.log"), &[48_000], &[48_001]);
    check_whole("memcached", fixture!("memcached.log"), &[48_100], &[48_101]);
    check_whole("mosquitto", fixture!("mosquitto.log"), &[48_200], &[48_201]);
    check_whole(
        "mosquitto",
        fixture!("mosquitto-iso.log"),
        &[48_202, 48_203],
        &[],
    );
}

#[test]
fn a_file_of_many_programs() {
    check_whole(
        "syslog",
        fixture!("syslog.log"),
        &[42_000, 42_001, 41_100, 46_003, 48_300, 48_301],
        &[46_006],
    );
}

#[test]
fn each_is_guessed_without_a_tie() {
    let logs: [(&str, &[u8]); 23] = [
        ("postfix", fixture!("postfix.log")),
        ("postfix", fixture!("postfix-traditional.log")),
        ("sendmail", fixture!("sendmail.log")),
        ("exim", fixture!("exim.log")),
        ("exim", fixture!("exim-zone.log")),
        ("dovecot", fixture!("dovecot-rport.log")),
        ("dovecot", fixture!("dovecot.log")),
        ("postgresql", fixture!("postgresql-default.log")),
        ("postgresql", fixture!("postgresql-prefix.log")),
        ("postgresql-csv", fixture!("postgresql.csv")),
        ("postgresql-json", fixture!("postgresql.json")),
        ("mariadb-audit", fixture!("mariadb-audit.log")),
        ("mysql-error", fixture!("mariadb-error.log")),
        ("bind", fixture!("bind-local.log")),
        ("bind", fixture!("bind-utc.log")),
        ("bind", fixture!("bind-syslog.log")),
        ("proftpd", fixture!("proftpd-system.log")),
        ("vsftpd", fixture!("vsftpd.log")),
        ("slapd", fixture!("slapd.log")),
        ("redis", fixture!("redis.log")),
        ("memcached", fixture!("memcached.log")),
        ("mosquitto", fixture!("mosquitto.log")),
        ("syslog", fixture!("syslog.log")),
    ];
    for (format, log) in logs {
        let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
        let guess = guess(&lines);
        let name = guess.map(|guess| guess.format.name().to_owned());
        assert_eq!(name.as_deref(), Ok(format));
    }
}

/// Every fixture above, to be broken.
const ALL: &[&[u8]] = &[
    fixture!("postfix.log"),
    fixture!("sendmail.log"),
    fixture!("exim.log"),
    fixture!("dovecot-rport.log"),
    fixture!("postgresql-default.log"),
    fixture!("postgresql.csv"),
    fixture!("postgresql.json"),
    fixture!("mariadb-audit.log"),
    fixture!("mariadb-error.log"),
    fixture!("bind-local.log"),
    fixture!("proftpd-system.log"),
    fixture!("vsftpd.log"),
    fixture!("slapd.log"),
    fixture!("redis.log"),
    fixture!("memcached.log"),
    fixture!("mosquitto-iso.log"),
];

proptest! {
    #[test]
    fn no_bytes_break_a_reader(
        log in 0..ALL.len(), skipped in 0_usize..20, junk: Vec<(usize, u8)>, cut: usize, whole: Vec<u8>,
    ) {
        let line = ALL[log].split(|byte| *byte == b'\n').nth(skipped).unwrap_or_default();
        let mut line = line.to_vec();
        for (at, byte) in junk {
            if !line.is_empty() {
                let length = line.len();
                line[at % length] = byte;
            }
        }
        line.truncate(cut % (line.len() + 1));
        for (name, _) in names() {
            let mut reader = Reader::new(Format::named(name).unwrap(), Options::new("x"));
            let _ = (reader.line(&line, 1), reader.line(&whole, 2), reader.end());
        }
    }
}

#[test]
fn a_huge_line_takes_no_longer_than_its_length() {
    let pieces = [
        " H=(",
        ") [",
        "H=x ",
        "<= a H=(x) [",
        "relay=",
        "'@'",
        " host: '",
        ">): ",
        ")<1><",
        "[",
        "(",
        "{\"",
        " * (ADDRESS=(PROTOCOL=tcp)",
        ": Client \"",
        ") @",
        "\",\"",
        " port ",
        "a,",
        "}",
        "--",
    ];
    let heads = [
        "2026-11-21 10:53:22 1wPsQe-0000Ab-3x <= ",
        "2026-11-21T10:53:22Z mail sm-mta[1]: from=",
        "2026-11-21T10:53:22Z mail dovecot: auth: ",
        "2026-11-21T10:53:22Z mail dovecot: imap(",
        "2026-11-21T10:53:22Z mail pure-ftpd: (",
        "21-NOV-2026 10:53:22 * ",
        "2026-11-21 10:53:22 5 [Warning] Access denied for user '",
        "20261121 10:53:22,",
        "",
    ];
    for piece in pieces {
        for head in heads {
            let line = format!("{head}{}", piece.repeat((1 << 17) / piece.len()));
            for (name, _) in names() {
                let mut reader = Reader::new(Format::named(name).unwrap(), Options::new("x"));
                let _ = reader.line(line.as_bytes(), 1);
            }
        }
    }
}
