//! MariaDB and MySQL: the audit plugin's file and the error log. The general log is not read: a
//! client's statement may hold whole lines of it, and it has no port.

use portledger_model::{Moment, Transport};

use super::super::{
    Lines,
    entry::{Endpoint, Entry, NO_CLIENT, TwoEndpoints, the_only},
};
use crate::{
    Options, Reason, address,
    fields::Fields,
    reader::Outcome,
    time::{Pieces, parse::Cursor},
};

/// Reads the file of `server_audit`: time, server, user, host, connection, query, operation, …
/// The user's name stands in it as it is, commas and all.
#[derive(Debug, Default)]
pub(in crate::lines) struct Audit {
    /// Whether hosts have their port behind them (since MariaDB 12.0): `2001:db8::7:1234` alone
    /// does not say.
    has_ports: Option<bool>,
}

const OPERATIONS: &[&[u8]] = &[
    b"CONNECT",
    b"FAILED_CONNECT",
    b"DISCONNECT",
    b"QUERY",
    b"READ",
    b"WRITE",
    b"CREATE",
    b"ALTER",
    b"RENAME",
    b"DROP",
    b"CHANGEUSER",
];

impl Lines for Audit {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let mut fields = Fields::over(Some(Transport::Tcp));
        let mut cursor = Cursor::new(line, 0);
        if compact(&mut cursor, &mut fields.end).is_none() || cursor.byte(b',').is_none() {
            let expected = "20261121 10:53:22,";
            return Err((cursor.at.min(line.len()), Reason::Time { expected }));
        }
        let entry = Entry {
            fields,
            message: cursor.rest(),
            line,
            number,
            options,
        };
        let cells: Vec<&[u8]> = entry.message.split(|byte| *byte == b',').collect();
        let is_number = |cell: &[u8]| !cell.is_empty() && cell.iter().all(u8::is_ascii_digit);
        let hosts = cells.windows(4).skip(2).filter_map(|window| match window {
            [host, connection, query, operation]
                if is_number(connection) && is_number(query) && OPERATIONS.contains(operation) =>
            {
                Some(*host)
            }
            _ => None,
        });
        let mut hosts: Vec<&[u8]> = hosts.collect();
        hosts.dedup();
        let host = match hosts.as_slice() {
            [] => {
                return entry.no_endpoint("host, connection, query and operation of server_audit");
            }
            [host] => *host,
            _ => return entry.ambiguous(),
        };
        if matches!(host, b"" | b"localhost") {
            return NO_CLIENT;
        }
        match self.endpoint(host) {
            Ok(Some(endpoint)) => entry.seen(endpoint, Moment::Logged),
            Ok(None) => Err((entry.at(), Reason::HostName)),
            Err(TwoEndpoints) => entry.ambiguous(),
        }
    }
}

impl Audit {
    fn endpoint(&mut self, host: &[u8]) -> Result<Option<Endpoint>, TwoEndpoints> {
        let alone = address::parse(host);
        let with_port = Endpoint::with_colon(host);
        match (alone, with_port) {
            (None, None) => Ok(None),
            (None, Some(endpoint)) => {
                self.has_ports = Some(true);
                Ok(Some(endpoint))
            }
            (Some(address), None) => {
                if address.is_ipv4() {
                    self.has_ports = Some(false);
                }
                Ok(Some(Endpoint::new(address, None)))
            }
            (Some(address), Some(endpoint)) => match self.has_ports {
                Some(true) => Ok(Some(endpoint)),
                Some(false) => Ok(Some(Endpoint::new(address, None))),
                None => Err(TwoEndpoints),
            },
        }
    }
}

/// `20261121 10:53:22`.
fn compact(cursor: &mut Cursor<'_>, pieces: &mut Pieces) -> Option<()> {
    pieces.year = Some(cursor.year()?);
    pieces.month = cursor.two()?;
    pieces.day = cursor.two()?;
    cursor.byte(b' ')?;
    // No fraction: the comma behind it begins the next column.
    pieces.hour = cursor.two()?;
    cursor.byte(b':')?;
    pieces.minute = cursor.two()?;
    cursor.byte(b':')?;
    pieces.second = Some(cursor.two()?);
    Some(())
}

/// Reads the error log, in which only what failed names a client, and without its port.
#[derive(Debug)]
pub(in crate::lines) struct ErrorLog;

impl Lines for ErrorLog {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let mut fields = Fields::over(Some(Transport::Tcp));
        let mut cursor = Cursor::new(line, 0);
        if line.get(4) != Some(&b'-') {
            // Plugins and what is said at the start have a form of their own.
            return NO_CLIENT;
        }
        if cursor.iso(&mut fields.end).is_none() {
            let expected = "2026-11-21 10:53:22 or 2026-11-21T10:53:22.123456Z";
            return Err((cursor.at.min(line.len()), Reason::Time { expected }));
        }
        let thread = || {
            while cursor.byte(b' ').is_some() {}
            cursor.number()?;
            cursor.byte(b' ')?;
            let rest = cursor.rest();
            rest.starts_with(b"[").then_some(rest)
        };
        let mut thread = thread;
        let Some(rest) = thread() else {
            let expected = "a thread's number and [Level] behind the time";
            return Err((0, Reason::Value { expected }));
        };
        let entry = Entry {
            fields,
            message: without_labels(rest),
            line,
            number,
            options,
        };
        match client(entry.message) {
            Client::NotTold => NO_CLIENT,
            Client::HostName => Err((entry.at(), Reason::HostName)),
            Client::Ambiguous => entry.ambiguous(),
            Client::Seen(endpoint) => entry.seen(endpoint, Moment::Logged),
        }
    }
}

/// Without `[Warning] [MY-010926] [Server] `.
fn without_labels(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_prefix(b"[") {
        let behind = memchr::memmem::find(rest, b"] ").and_then(|end| rest.get(end + 2..));
        match behind {
            Some(behind) => text = behind,
            None => break,
        }
    }
    text
}

enum Client {
    Seen(Endpoint),
    HostName,
    Ambiguous,
    NotTold,
}

const USING: &[&[u8]] = &[b"' (using password: YES)", b"' (using password: NO)"];

/// `Access denied for user 'name'@'host' (using password: YES)`, the name the client's own; and
/// `Aborted connection 5 to db: 'x' user: 'name' host: 'host' (reason)`.
fn client(message: &[u8]) -> Client {
    let message = message.trim_ascii_end();
    let host = if let Some(words) = message.strip_prefix(b"Access denied for user '") {
        let Some(before) = USING.iter().find_map(|end| words.strip_suffix(*end)) else {
            // ` to database 'x'` is the client's own text behind its address.
            return only_host(words, b"'@'");
        };
        memchr::memmem::rfind(before, b"'@'").and_then(|at| before.get(at + 3..))
    } else if message.starts_with(b"Aborted connection ") {
        return only_host(message, b" host: '");
    } else {
        return Client::NotTold;
    };
    host.map_or(Client::NotTold, read_host)
}

fn only_host(words: &[u8], before: &[u8]) -> Client {
    let all = memchr::memmem::find_iter(words, before).map(|at| {
        let rest = words.get(at + before.len()..)?;
        let end = memchr::memchr(b'\'', rest)?;
        let address = address::parse(rest.get(..end)?)?;
        Some(Endpoint::new(address, None))
    });
    match the_only(all) {
        Ok(Some(endpoint)) => Client::Seen(endpoint),
        Ok(None) => Client::NotTold,
        Err(TwoEndpoints) => Client::Ambiguous,
    }
}

fn read_host(host: &[u8]) -> Client {
    match (host, address::parse(host)) {
        (_, Some(address)) => Client::Seen(Endpoint::new(address, None)),
        (b"localhost" | b"", None) => Client::NotTold,
        (_, None) => Client::HostName,
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::testing::read_lines;

    #[test]
    fn a_user_with_commas_does_not_choose_its_host() {
        insta::assert_snapshot!(read_lines(
            "mariadb-audit",
            Some(TimeZone::UTC),
            &[
                "20261121 10:53:22,host,alice,2001:db8::7:1234,4,0,CONNECT,,,0",
                "20261121 10:53:22,host,alice,203.0.113.7,4,0,CONNECT,,,0",
                "20261121 10:53:22,host,alice,2001:db8::7:1234,4,0,CONNECT,,,0",
                "20261121 10:53:22,host,y,192.0.2.66,9,0,CONNECT,203.0.113.7,4,0,FAILED_CONNECT,,,1045",
                "20261121 10:53:22,host,root,localhost,4,0,CONNECT,,,0",
                "20261121 10:53:22,host,alice,a.example.org,4,0,CONNECT,,,0",
                "20261121 10:53:22,host",
            ]
        ));
        insta::assert_snapshot!(read_lines(
            "mariadb-audit",
            Some(TimeZone::UTC),
            &[
                "20261121 10:53:22,host,alice,203.0.113.7:2026,4,0,CONNECT,,,0",
                "20261121 10:53:22,host,alice,2001:db8::7:1234,4,0,CONNECT,,,0",
            ]
        ));
    }

    #[test]
    fn what_failed_names_its_host() {
        insta::assert_snapshot!(read_lines(
            "mysql-error",
            Some(TimeZone::UTC),
            &[
                "2026-11-21 10:53:22 5 [Warning] Access denied for user 'alice'@'203.0.113.7' (using password: YES)",
                "2026-11-21T10:53:22.123456Z 8 [Note] [MY-010926] [Server] Access denied for user 'x'@'192.0.2.66' (using'@'2001:db8::7' (using password: NO)",
                "2026-11-21 10:53:22 5 [Warning] Access denied for user 'alice'@'203.0.113.7' to database 'x'@'192.0.2.66''",
                "2026-11-21 10:53:22 5 [Warning] Aborted connection 5 to db: 'unconnected' user: 'alice' host: '203.0.113.7' (Got timeout reading communication packets)",
                "2026-11-21 10:53:22 5 [Warning] Access denied for user 'alice'@'a.example.org' (using password: YES)",
                "2026-11-21 10:53:22 0 [Note] mariadbd: ready for connections.",
                "Version: '10.11.19-MariaDB'  socket: '/run/mysqld.sock'",
            ]
        ));
    }
}
