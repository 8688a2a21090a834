//! OpenSSH's log lines, through syslog, the journal or `sshd -E`.
//!
//! A client chooses its user name, its version text and its reason to disconnect, and may write
//! `from 192.0.2.66 port 4242` there. So every form says on which side of such text its endpoint
//! stands.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use portledger_model::{Destination, Moment, Transport};

use super::{
    Lines,
    entry::Entry,
    programs::{Known, Program},
    syslog::{self, Header},
};
use crate::{
    Options, Reason, Skip,
    address::{self, Written},
    fields::{Fields, Side, Times},
    reader::Outcome,
};

/// For files of several programs.
pub(super) const KNOWN: Known = Known {
    name: "sshd",
    is_of: |header| header.is_of(PROGRAMS),
    start: || Box::new(Sshd),
};

impl Program for Sshd {
    fn read(&mut self, _: &Header<'_>, entry: Entry<'_>) -> Outcome {
        let Entry {
            fields,
            message: words,
            line,
            number,
            options,
        } = entry;
        message(words, fields, true, line, number, options)
    }
}

/// Reads the lines of sshd alone, `sshd -E`'s without a header included.
#[derive(Debug)]
pub(super) struct Sshd;

impl Lines for Sshd {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let mut fields = Fields::over(Some(Transport::Tcp));
        // `sshd -E` writes neither time nor name.
        let Some(header) = syslog::header(line, &mut fields.end)? else {
            return message(line, fields, false, line, number, options);
        };
        if !header.is_of(PROGRAMS) {
            return Ok(Err(Skip::OtherProgram));
        }
        message(header.message, fields, true, line, number, options)
    }
}

/// What a message of sshd's says, whose time is in `fields` already.
pub(super) fn message(
    message: &[u8],
    mut fields: Fields,
    timed: bool,
    line: &[u8],
    number: u64,
    options: &Options,
) -> Outcome {
    let at = line.len() - message.len();
    let message = without_decoration(message);
    let (seen, moment) = match client(message) {
        Client::Seen(seen, moment) => (seen, moment),
        Client::NotTold => return Ok(Err(Skip::NoClient)),
        Client::Ambiguous => return Err((at, Reason::Ambiguous)),
        Client::Malformed => {
            let expected = "an address, 'port' and a port after these words of sshd";
            return Err((at, Reason::Value { expected }));
        }
    };
    fields.set_address(Side::Remote, seen.address, at);
    fields.set_port(Side::Remote, Some(seen.port));
    fields.destination = seen.server;
    let times = if timed {
        Times::End(moment)
    } else {
        Times::None(moment)
    };
    fields.sighting(times, options, number).map(Ok)
}

/// OpenSSH 9.8 and 10.0 moved a connection's work to programs of their own.
pub(super) const PROGRAMS: &[&[u8]] = &[b"sshd", b"sshd-session", b"sshd-auth"];

/// Without the level in front and the `[preauth]` behind.
fn without_decoration(message: &[u8]) -> &[u8] {
    let mut message = message.trim_ascii();
    for level in [&b"error: "[..], b"fatal: ", b"debug1: "] {
        message = message.strip_prefix(level).unwrap_or(message);
    }
    message.strip_suffix(b" [preauth]").unwrap_or(message)
}

struct Seen {
    address: Written,
    port: u16,
    server: Destination,
}

enum Client {
    Seen(Seen, Moment),
    /// No endpoint, or an address without a port: other lines of the connection have both.
    NotTold,
    /// Two endpoints, one of which a client made up.
    Ambiguous,
    /// Words that always come with an endpoint, without one.
    Malformed,
}

/// On which side of a client's text the endpoint stands.
#[derive(Clone, Copy)]
enum Place {
    /// At once after the words.
    After,
    /// The last before what this accepts as the end of the message.
    Before(fn(&[u8]) -> bool),
}

const FORMS: &[(&[u8], Place)] = &[
    (
        b"Connection closed by authenticating user ",
        Place::Before(is_end),
    ),
    (b"Connection closed by invalid user ", Place::Before(is_end)),
    (b"Connection closed by user ", Place::Before(is_end)),
    (b"Connection closed by ", Place::After),
    (
        b"Connection reset by authenticating user ",
        Place::Before(is_end),
    ),
    (b"Connection reset by invalid user ", Place::Before(is_end)),
    (b"Connection reset by user ", Place::Before(is_end)),
    (b"Connection reset by ", Place::After),
    (
        b"Disconnected from authenticating user ",
        Place::Before(is_end),
    ),
    (b"Disconnected from invalid user ", Place::Before(is_end)),
    (b"Disconnected from user ", Place::Before(is_end)),
    (b"Disconnected from ", Place::After),
    (b"Disconnecting authenticating user ", Place::Before(is_end)),
    (b"Disconnecting invalid user ", Place::Before(is_end)),
    (b"Disconnecting user ", Place::Before(is_end)),
    (b"Disconnecting ", Place::After),
    (b"Received disconnect from ", Place::After),
    (b"Accepted ", Place::Before(is_end_or_key)),
    (b"Postponed ", Place::Before(is_end_or_key)),
    (b"Partial ", Place::Before(is_end_or_key)),
    (b"Failed ", Place::Before(is_end_or_key)),
    (b"Invalid user ", Place::Before(is_end)),
    (
        b"maximum authentication attempts exceeded for ",
        Place::Before(is_end),
    ),
    (
        b"Bad protocol version identification ",
        Place::Before(is_end),
    ),
    (b"Did not receive identification string from ", Place::After),
    (b"banner exchange: Connection from ", Place::After),
    (
        b"ssh_dispatch_run_fatal: Connection from ",
        Place::Before(is_end_or_message),
    ),
    (
        b"Timeout, client not responding from ",
        Place::Before(is_end),
    ),
    (b"Unable to negotiate with ", Place::After),
    (b"Protocol major versions differ for ", Place::After),
    (b"Timeout before authentication for ", Place::After),
    (b"Read error from remote host ", Place::After),
    (b"Starting session: ", Place::Before(is_end)),
    (b"Close session: ", Place::Before(is_end)),
];

fn client(message: &[u8]) -> Client {
    if let Some(rest) = message.strip_prefix(b"Connection from ") {
        return opened(rest);
    }
    if message.starts_with(b"drop connection #") {
        return dropped(message);
    }
    let first = message.first();
    for (words, place) in FORMS.iter().filter(|(words, _)| words.first() == first) {
        if let Some(rest) = message.strip_prefix(*words) {
            return found(rest, *place);
        }
    }
    Client::NotTold
}

/// `A port P on B port Q`, of LogLevel VERBOSE, is written at the connect; `user x A port P timed
/// out` is not.
fn opened(rest: &[u8]) -> Client {
    match endpoint(rest) {
        Some((seen, b"")) => Client::Seen(seen, Moment::Connect),
        Some((mut seen, after)) if after.starts_with(ON) => {
            if let Some((server, _)) = after.strip_prefix(ON).and_then(endpoint) {
                seen.server = destination(server.address, server.port);
            }
            Client::Seen(seen, Moment::Connect)
        }
        _ => found(rest, Place::Before(|after| after == b" timed out")),
    }
}

const ON: &[u8] = b" on ";

/// `drop connection #10 from [A]:P on [B]:Q past MaxStartups`, written at the connect as well.
fn dropped(message: &[u8]) -> Client {
    let mut words = message.split(|byte| *byte == b' ').skip(4);
    let (client, server) = (words.next(), words.nth(1));
    let split = |text: Option<&'_ [u8]>| {
        let text = text?;
        let colon = memchr::memrchr(b':', text)?;
        Some((colon, address::port(text.get(colon + 1..)?)?))
    };
    match (client, split(client)) {
        (Some(text), Some((colon, port))) => {
            let read = |text: &[u8], colon| Written::read(text.get(..colon).unwrap_or_default());
            let server = server.and_then(|text| {
                let (colon, port) = split(Some(text))?;
                Some(destination(read(text, colon), port))
            });
            let seen = Seen {
                address: read(text, colon),
                port,
                server: server.unwrap_or_default(),
            };
            Client::Seen(seen, Moment::Connect)
        }
        _ => Client::Malformed,
    }
}

const fn destination(address: Written, port: u16) -> Destination {
    let address = match address {
        Written::Ip(address) => Some(address),
        Written::Nothing | Written::Unix | Written::Other => None,
    };
    Destination {
        address,
        port: Some(port),
    }
}

fn found(rest: &[u8], place: Place) -> Client {
    let seen = match place {
        Place::After => endpoint(rest).map(|(seen, _)| seen),
        Place::Before(is_end) => {
            let mut all = endpoints(rest);
            let first = all.next();
            match all.last() {
                None => first.map(|(seen, _)| seen),
                Some((seen, after)) if is_end(after) => Some(seen),
                // More text follows, which may be a client's as well.
                Some(_) => return Client::Ambiguous,
            }
        }
    };
    match seen {
        Some(seen) => Client::Seen(seen, Moment::Logged),
        None if PORTS.find(rest).is_none() => Client::NotTold,
        None => Client::Malformed,
    }
}

/// Made once: that takes as long as to search a message.
static PORTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b" port "));

/// What ends a message after its endpoint.
fn is_end(after: &[u8]) -> bool {
    after.is_empty() || after == b" ssh2" || is_session(after)
}

/// `: message authentication code incorrect`: the server's own words.
fn is_end_or_message(after: &[u8]) -> bool {
    is_end(after) || after.starts_with(b": ")
}

/// ` id 0`, of a session.
fn is_session(after: &[u8]) -> bool {
    after
        .strip_prefix(b" id ")
        .is_some_and(|id| id.iter().all(u8::is_ascii_digit))
}

/// ` ssh2: ED25519 SHA256:…`: a key. A certificate's name, or the user and host that a client
/// says it is of (hostbased), make it longer.
fn is_end_or_key(after: &[u8]) -> bool {
    let is_key = |key: &[u8]| {
        let mut words = key.split(|byte| *byte == b' ');
        words.next().is_some()
            && words.next().is_some_and(|print| {
                let is_print = print.starts_with(b"SHA256:") || print.starts_with(b"MD5:");
                is_print && !print.contains(&b'"')
            })
            && words.next().is_none()
    };
    is_end(after) || after.strip_prefix(b" ssh2: ").is_some_and(is_key)
}

/// Every `A port P` of a text, and what is behind each.
fn endpoints(text: &[u8]) -> impl Iterator<Item = (Seen, &[u8])> {
    PORTS.find_iter(text).filter_map(|port| {
        let start = memchr::memrchr(b' ', text.get(..port)?).map_or(0, |space| space + 1);
        endpoint(text.get(start..)?)
    })
}

/// `A port P` in front, and what is behind it.
fn endpoint(text: &[u8]) -> Option<(Seen, &[u8])> {
    let space = memchr::memchr(b' ', text)?;
    let address = address::parse(text.get(..space)?)?;
    let after = text.get(space..)?.strip_prefix(b" port ")?;
    let digits = after
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let seen = Seen {
        address: Written::Ip(address),
        port: address::port(after.get(..digits)?)?,
        server: Destination::default(),
    };
    Some((seen, after.get(digits..)?))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::testing::read_lines;

    fn messages(messages: &[&str]) -> String {
        let lines: Vec<String> = messages
            .iter()
            .map(|message| format!("2026-11-21T10:53:22.123456+00:00 host sshd[812]: {message}"))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        read_lines("sshd", None, &lines)
    }

    #[test]
    fn every_form_has_its_endpoint() {
        insta::assert_snapshot!(messages(&[
            "Connection from 203.0.113.7 port 49152 on 192.0.2.22 port 22 rdomain \"\"",
            "Accepted publickey for root from 203.0.113.7 port 49152 ssh2: ED25519 SHA256:6bJ3Zk",
            "Failed password for invalid user admin from 2001:db8::1 port 49152 ssh2",
            "Invalid user admin from 203.0.113.7 port 49152",
            "Connection closed by 203.0.113.7 port 49152 [preauth]",
            "Connection reset by authenticating user root 203.0.113.7 port 49152 [preauth]",
            "Disconnected from user root 203.0.113.7 port 49152",
            "Received disconnect from 203.0.113.7 port 49152:11: Bye Bye [preauth]",
            "error: beginning MaxStartups throttling",
            "drop connection #10 from [2001:db8::1]:49152 on [2001:db8::22]:22 past MaxStartups",
            "Did not receive identification string from 203.0.113.7 port 49152",
            "banner exchange: Connection from 203.0.113.7 port 49152: invalid format",
            "Unable to negotiate with 203.0.113.7 port 49152: no matching key exchange method found. Their offer: x [preauth]",
            "error: maximum authentication attempts exceeded for root from 203.0.113.7 port 49152 ssh2 [preauth]",
            "fatal: Timeout before authentication for 203.0.113.7 port 49152",
            "Timeout, client not responding from user root 203.0.113.7 port 49152",
            "Connection from 203.0.113.7 port 49152",
            "Connection from authenticating user root 203.0.113.7 port 49152 timed out [preauth]",
            "ssh_dispatch_run_fatal: Connection from user root 203.0.113.7 port 49152: message authentication code incorrect",
            "Starting session: shell on pts/0 for root from 203.0.113.7 port 49152 id 0",
        ]));
    }

    #[test]
    fn what_a_client_chose_is_not_believed() {
        insta::assert_snapshot!(messages(&[
            "Invalid user x from 192.0.2.66 port 4242 from 203.0.113.7 port 49152",
            "Failed password for invalid user x from 192.0.2.66 port 4242 ssh2 from 203.0.113.7 port 49152 ssh2",
            "Failed none for invalid user  from 203.0.113.7 port 49152 ssh2",
            "Connection closed by invalid user 192.0.2.66 port 4242 203.0.113.7 port 49152 [preauth]",
            "Received disconnect from 203.0.113.7 port 49152:11: from 192.0.2.66 port 4242 [preauth]",
            "Bad protocol version identification 'x from 192.0.2.66 port 4242' from 203.0.113.7 port 49152",
            "Failed publickey for x from 203.0.113.7 port 49152 ssh2: RSA-CERT ID from 192.0.2.66 port 4242 ssh2 (serial 0) CA RSA SHA256:x",
            "Disconnecting invalid user x 203.0.113.7 port 49152: Change of username or service not allowed: (x,ssh-connection) -> (y 192.0.2.66 port 4242: z,ssh-connection) [preauth]",
            "Disconnecting invalid user x 203.0.113.7 port 49152: Too many authentication failures [preauth]",
            "Accepted hostbased for x from 203.0.113.7 port 49152 ssh2: RSA SHA256:x, client user \"x\", client host \"y from 192.0.2.66 port 4242 ssh2: RSA SHA256:z\"",
            "Failed publickey for x from 203.0.113.7 port 49152 ssh2: RSA-CERT ID x (serial 0) CA RSA SHA256:x",
        ]));
    }

    #[test]
    fn lines_without_an_endpoint_are_skipped() {
        insta::assert_snapshot!(messages(&[
            "Server listening on 0.0.0.0 port 22.",
            "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)",
            "Invalid user admin from 203.0.113.7",
            "Accepted password for root from 203.0.113.7 port 65536 ssh2",
        ]));
    }

    #[test]
    fn every_way_of_writing_the_time() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let message = "Connection closed by 203.0.113.7 port 49152";
        let lines: Vec<String> = [
            "2026-11-21T10:53:22+0100 host sshd[812]: ",
            "Nov  1 01:30:00 host sshd[812]: ",
            "Dec 31 10:53:22 host sshd-session[812]: ",
            "<38>Nov 21 05:53:22 host sshd[812]: ",
            "<38>1 2026-11-21T10:53:22.5Z host sshd 812 - - ",
            r#"<38>1 2026-11-21T10:53:22.5Z host sshd 812 - [meta a="x\] y"][b] "#,
            "1795258402.123456 host sshd[812]: ",
            "",
            "error: ",
            "2026-11-21T10:53:22+01:00 host cron[1]: ",
            "2026-13-21T10:53:22+01:00 host sshd[1]: ",
        ]
        .iter()
        .map(|header| format!("{header}{message}\r\n"))
        .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        insta::assert_snapshot!(read_lines("sshd", Some(zone), &lines));
    }
}
