//! PostgreSQL's log in text, with a `log_line_prefix` that begins with the time and the process:
//! the default's and Debian's. It has the client only where `log_connections` is on, in the line
//! `connection received`; later lines of the process are that client's.
//!
//! A name of 63 bytes is the client's to choose and stands unescaped in the prefix: `connection
//! received` counts only where no name can stand before it. What a message has behind a line's end
//! begins with a tab, so it cannot pass for a line of its own.

use portledger_model::{Moment, Transport};

use super::super::{
    Lines,
    entry::{Endpoint, Entry, NO_CLIENT, split_at},
    programs::{Known, Program, Syslog},
    session::{Key, Sessions},
    syslog::Header,
};
use crate::{Options, Reason, address, fields::Fields, reader::Outcome, time::parse::Cursor};

pub(in crate::lines) const KNOWN: Known = Known {
    name: "postgresql",
    is_of: |header| header.is_of(&[b"postgres", b"postgresql"]),
    start: || Box::<Clients>::default(),
};

/// The clients of a server, by its processes.
#[derive(Debug, Default)]
struct Clients {
    open: Sessions<Endpoint>,
}

impl Program for Clients {
    fn read(&mut self, header: &Header<'_>, mut entry: Entry<'_>) -> Outcome {
        // `[3-1] ` numbers lines and their parts; a part that goes on is none of these.
        let numbered = || {
            let rest = entry.message.strip_prefix(b"[")?;
            let end = memchr::memmem::find(rest, b"] ")?;
            let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'-';
            rest.get(..end)?
                .iter()
                .all(is_number)
                .then(|| rest.get(end + 2..))?
        };
        if let Some(message) = numbered() {
            entry.message = message;
        }
        match Key::of_process(header) {
            Some(process) => self.said(header.host, process, entry),
            None => NO_CLIENT,
        }
    }
}

/// What PostgreSQL says of a connection that it accepted.
const RECEIVED: &[u8] = b"LOG:  connection received: host=";

/// What it writes for names that are not known yet (`%u@%d`).
const UNKNOWN: &[u8] = b"[unknown]@[unknown] ";

/// What only a process that serves a client says.
const OF_A_CLIENT: &[&[u8]] = &[
    b"LOG:  connection authenticated: ",
    b"LOG:  connection authorized: ",
    b" authentication failed for user ",
    b"FATAL:  no pg_hba.conf entry for ",
    b"FATAL:  pg_hba.conf rejects connection for ",
    b"FATAL:  role \"",
    b"FATAL:  database \"",
];

const DISCONNECTION: &[u8] = b"LOG:  disconnection: session time: ";

/// What the server says when it starts, starts again after a crash or reads its settings again:
/// from then on a process may be another.
const RESTARTS: &[&[u8]] = &[
    b"LOG:  starting PostgreSQL",
    b"LOG:  database system is ready",
    b"LOG:  all server processes terminated",
    b"LOG:  received SIGHUP",
];

impl Clients {
    fn said(&mut self, host: &[u8], process: Key, entry: Entry<'_>) -> Outcome {
        let message = entry.message;
        if let Some(client) = named_by_nobody(message).strip_prefix(RECEIVED)
            && let Some(received) = received(client)
        {
            self.open.end(&process);
            return match received {
                Received::From(endpoint) => {
                    self.open.begin(process, endpoint);
                    entry.seen(endpoint, Moment::Connect)
                }
                Received::Locally => NO_CLIENT,
                Received::HostName => Err((entry.at(), Reason::HostName)),
            };
        }
        if RESTARTS.iter().any(|words| message.starts_with(words)) {
            self.open.end_all_of(host);
            return NO_CLIENT;
        }
        let has = |words: &[u8]| memchr::memmem::find(message, words).is_some();
        let told = if has(DISCONNECTION) {
            self.open.end(&process)
        } else if OF_A_CLIENT.iter().any(|words| has(words)) {
            self.open.told(&process)
        } else {
            None
        };
        match told {
            Some(endpoint) => entry.seen(endpoint, Moment::Logged),
            None => NO_CLIENT,
        }
    }
}

enum Received {
    From(Endpoint),
    /// Through a UNIX domain socket.
    Locally,
    /// `log_hostname` is on.
    HostName,
}

/// Without what a prefix has of a connection of which nobody has said who it is: names that are
/// not known, and with `%r` or `%h` the client.
fn named_by_nobody(message: &[u8]) -> &[u8] {
    if let Some(rest) = message.strip_prefix(UNKNOWN) {
        return rest;
    }
    let client = || {
        let (word, rest) = split_at(message, b' ')?;
        let address = split_at(word, b'(').map_or(word, |(address, _)| address);
        address::parse(address).map(|_| rest)
    };
    client().unwrap_or(message)
}

/// `203.0.113.7 port=49152` and nothing behind it, as behind a name that reads like all this.
fn received(client: &[u8]) -> Option<Received> {
    let client = client.trim_ascii_end();
    if client == b"[local]" {
        return Some(Received::Locally);
    }
    let (host, port) = split_at(client, b' ')?;
    let port = address::port(port.strip_prefix(b"port=")?)?;
    Some(match address::parse(host) {
        Some(address) => Received::From(Endpoint::new(address, Some(port))),
        None => Received::HostName,
    })
}

/// Reads the text log, by whichever way it was written.
#[derive(Debug)]
pub(in crate::lines) struct Log {
    clients: Clients,
    syslog: Syslog,
}

impl Log {
    pub(in crate::lines) fn new() -> Self {
        Self {
            clients: Clients::default(),
            syslog: Syslog::of(&[KNOWN]),
        }
    }
}

impl Lines for Log {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        if line.starts_with(b"\t") {
            return NO_CLIENT;
        }
        if line.get(4) != Some(&b'-') || line.get(10) != Some(&b' ') {
            return self.syslog.read(line, number, options);
        }
        let mut fields = Fields::over(Some(Transport::Tcp));
        let mut cursor = Cursor::new(line, 0);
        if cursor.abbreviated(&mut fields.end).is_none() {
            let expected = "2026-11-21 10:53:22.123 UTC";
            return Err((cursor.at.min(line.len()), Reason::Time { expected }));
        }
        let start = cursor.at;
        let process = cursor
            .byte(b' ')
            .and_then(|()| cursor.byte(b'['))
            .and_then(|()| cursor.number())
            .and_then(|_| cursor.byte(b']'))
            .and_then(|()| cursor.byte(b' '));
        if process.is_none() {
            let expected = " [1234] behind the time; give another prefix as postgresql:PREFIX";
            return Err((cursor.at.min(line.len()), Reason::Value { expected }));
        }
        let process = Key::of(b"", &[line.get(start..cursor.at).unwrap_or_default()]);
        let entry = Entry {
            fields,
            message: cursor.rest(),
            line,
            number,
            options,
        };
        self.clients.said(b"", process, entry)
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::testing::read_lines;

    #[test]
    fn a_process_is_its_client_until_it_says_otherwise() {
        insta::assert_snapshot!(read_lines(
            "postgresql",
            None,
            &[
                "2026-11-21 10:53:22.123 UTC [7] [unknown]@[unknown] LOG:  connection received: host=203.0.113.7 port=49152",
                "2026-11-21 10:53:22.200 UTC [7] x LOG:  connection received: host=192.0.2.66 port=4242@postgres LOG:  connection authorized: user=x",
                "2026-11-21 10:53:22.200 UTC [7] 192.0.2.66(5) LOG:  connection received: host=192.0.2.66 port=5@postgres LOG:  x",
                "2026-11-21 10:53:22.200 UTC [7] alice@postgres STATEMENT:  select 1",
                "\tFATAL:  role \"x\" does not exist",
                "2026-11-21 10:53:23.000 UTC [7] alice@postgres FATAL:  password authentication failed for user \"alice\"",
                "2026-11-21 10:53:23.000 UTC [8] alice@postgres FATAL:  password authentication failed for user \"alice\"",
                "2026-11-21 10:53:24.000 UTC [7] alice@postgres LOG:  disconnection: session time: 0:00:00.010 user=alice database=postgres host=203.0.113.7 port=49152",
                "2026-11-21 10:53:25.000 UTC [7] alice@postgres FATAL:  role \"x\" does not exist",
                "2026-11-21 10:53:26.000 UTC [7] LOG:  connection received: host=2001:db8::7 port=2026",
                "2026-11-21 10:53:26.000 UTC [7] LOG:  connection received: host=[local]",
                "2026-11-21 10:53:26.000 UTC [7] a@b FATAL:  role \"x\" does not exist",
                "2026-11-21 10:53:26.000 UTC [9] LOG:  connection received: host=203.0.113.7 port=49153",
                "2026-11-21 10:53:27.000 UTC [1] LOG:  database system is ready to accept connections",
                "2026-11-21 10:53:27.000 UTC [9] a@b FATAL:  role \"x\" does not exist",
                "2026-11-21 10:53:27.000 UTC [9] LOG:  connection received: host=a.example.org port=49153",
                "2026-11-21T10:53:28+00:00 host postgres[7]: [3-1] LOG:  connection received: host=203.0.113.7 port=49152",
                "2026-11-21T10:53:28+00:00 host postgres[7]: [4-1] FATAL:  role \"x\" does not exist",
            ]
        ));
    }

    #[test]
    fn an_abbreviation_is_no_offset() {
        let lines = ["EST", "UTC", "GMT", "+03", "-0330"].map(|zone| {
            format!("2026-11-01 01:30:00 {zone} [7] LOG:  connection received: host=203.0.113.7 port=49152")
        });
        let lines = lines.each_ref().map(String::as_str);
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        insta::assert_snapshot!(
            [
                read_lines("postgresql", None, &lines),
                read_lines("postgresql", Some(zone), &lines[..1]),
            ]
            .join("--\n")
        );
    }
}
