//! Exim's main log, in its own file or through syslog.
//!
//! A client is written as `H=name (helo) [address]:port`, where `helo` is what it said, or behind
//! words such as `SMTP connection from`. Sender, HELO and subject are its own text: where a line
//! names two endpoints it is refused. `H=` of a delivery is the server that mail went to.

use portledger_model::{Destination, Moment, Transport};

use super::super::{
    Lines,
    entry::{Endpoint, Entry, NO_CLIENT, TwoEndpoints, first, the_only},
    programs::{Known, Program, Syslog},
    syslog::Header,
};
use crate::{Options, Reason, fields::Fields, reader::Outcome, time::parse::Cursor};

pub(in crate::lines) const KNOWN: Known = Known {
    name: "exim",
    is_of: |header| header.is_of(&[b"exim", b"exim4"]),
    start: || Box::new(Exim),
};

#[derive(Debug)]
struct Exim;

impl Program for Exim {
    fn read(&mut self, _: &Header<'_>, mut entry: Entry<'_>) -> Outcome {
        // Unless `syslog_timestamp` is off, its own time stands behind syslog's.
        let mut cursor = Cursor::new(entry.message, 0);
        if time(&mut cursor, &mut entry.fields).is_some() {
            entry.message = cursor.rest();
        }
        message(entry)
    }
}

/// Reads the main log, by whichever way it was written.
#[derive(Debug)]
pub(in crate::lines) struct MainLog {
    syslog: Syslog,
}

impl MainLog {
    pub(in crate::lines) fn new() -> Self {
        Self {
            syslog: Syslog::of(&[KNOWN]),
        }
    }
}

impl Lines for MainLog {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        // A date, a space and a time are Exim's own; syslog's have a `T` between them.
        if line.get(10) != Some(&b' ') || line.get(4) != Some(&b'-') {
            // ` Suggested action: …`, the second line of one of its warnings.
            if line.starts_with(b" ") {
                return NO_CLIENT;
            }
            return self.syslog.read(line, number, options);
        }
        let mut fields = Fields::over(Some(Transport::Tcp));
        let mut cursor = Cursor::new(line, 0);
        if time(&mut cursor, &mut fields).is_none() {
            let expected = "2026-11-21 10:53:22";
            return Err((cursor.at.min(line.len()), Reason::Time { expected }));
        }
        message(Entry {
            fields,
            message: cursor.rest(),
            line,
            number,
            options,
        })
    }
}

/// `2026-11-21 10:53:22 `, with milliseconds (`+millisec`) and the offset (`log_timezone`).
fn time(cursor: &mut Cursor<'_>, fields: &mut Fields) -> Option<()> {
    let mut pieces = fields.end;
    pieces.zone = None;
    pieces.fraction = None;
    pieces.epoch = None;
    cursor.iso(&mut pieces)?;
    cursor.byte(b' ')?;
    if matches!(cursor.peek(), Some(b'+' | b'-')) {
        pieces.zone = Some(cursor.offset()?);
        cursor.byte(b' ')?;
    }
    // Of two times the one with a zone is the one that says when.
    if pieces.zone.is_some() || fields.end.zone.is_none() {
        fields.end = pieces;
    }
    Some(())
}

/// What stands between the words and the client.
const CONNECTION: &[&[u8]] = &[
    b"SMTP connection from ",
    b"no MAIL in SMTP connection from ",
    b"SMTP call from ",
    b"SMTP command timeout on connection from ",
    b"SMTP command timeout on TLS connection from ",
    b"SMTP data timeout (message abandoned) on connection from ",
    b"TLS error on connection from ",
    b"unexpected disconnection while reading SMTP command from ",
    b"rejected EHLO from ",
    b"rejected HELO from ",
    b"refused connection from ",
    b"rejected connection from ",
    b"Connection from ",
];

fn message(mut entry: Entry<'_>) -> Outcome {
    entry.message = without_process(entry.message);
    for words in CONNECTION {
        if let Some(client) = entry.message.strip_prefix(*words) {
            let Some(endpoint) = host(client) else {
                return entry.no_endpoint("[address]:port after these words of Exim");
            };
            let opened = words.starts_with(b"SMTP connection from ")
                && memchr::memmem::find(client, b"(TCP/IP connection count = ").is_some();
            let moment = if opened {
                Moment::Connect
            } else {
                Moment::Logged
            };
            return ambiguous_or(entry, endpoint, moment);
        }
    }
    if let Some(client) = failed_login(entry.message) {
        let Some(endpoint) = host(client) else {
            return entry.no_endpoint("[address]:port after 'authenticator failed for'");
        };
        return ambiguous_or(entry, endpoint, Moment::Logged);
    }
    if !is_incoming(entry.message) {
        return NO_CLIENT;
    }
    let message = entry.message;
    let words = behind_id(message).unwrap_or(message);
    // A sender's text stands before the host only of what came in.
    if let Some(client) = words.strip_prefix(b"H=") {
        return match host(client) {
            Some(endpoint) => ambiguous_or(entry, endpoint, Moment::Logged),
            None => NO_CLIENT,
        };
    }
    const HOST: &[u8] = b" H=";
    let hosts =
        memchr::memmem::find_iter(message, HOST).map(|at| host(message.get(at + HOST.len()..)?));
    match the_only(hosts) {
        Ok(Some(endpoint)) => ambiguous_or(entry, endpoint, Moment::Logged),
        Ok(None) => NO_CLIENT,
        Err(TwoEndpoints) => entry.ambiguous(),
    }
}

/// `[1234] `, of `+pid`.
fn without_process(message: &[u8]) -> &[u8] {
    let strip = || {
        let rest = message.strip_prefix(b"[")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest.get(digits..)?.strip_prefix(b"] ")
    };
    strip().unwrap_or(message)
}

/// `plain authenticator failed for (helo) [192.0.2.1]:4242: 535 …`; the name is the configuration's.
fn failed_login(message: &[u8]) -> Option<&[u8]> {
    const WORDS: &[u8] = b" authenticator failed for ";
    let at = memchr::memmem::find(message, WORDS)?;
    let name = message.get(..at)?;
    let is_name = name
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    is_name.then(|| message.get(at + WORDS.len()..))?
}

/// A message that came in (`ID <= …`), or what was not taken from a client.
fn is_incoming(message: &[u8]) -> bool {
    let behind_id = behind_id(message);
    if let Some(behind) = behind_id
        && behind.starts_with(b"<= ")
    {
        return true;
    }
    let words = behind_id.unwrap_or(message);
    let errors = [&b"SMTP protocol "[..], b"SMTP syntax error in "];
    if errors.iter().any(|before| words.starts_with(before)) {
        return true;
    }
    // Of what names a host first, only a rejection is of a client: the rest may be of deliveries.
    let rejected = [
        &b" rejected "[..],
        b" temporarily rejected ",
        b" sender verify ",
        b" incomplete transaction",
        b" Warning: ",
    ];
    words.starts_with(b"H=")
        && host_and_rest(words.get(2..).unwrap_or_default()).is_some_and(|(_, after)| {
            let after = without_elements(after);
            rejected.iter().any(|words| after.starts_with(words))
        })
}

/// `1wPsQe-0000Ab-3x ` or, since 4.97, `1wPsQe-00000001Abc-3xyz `.
fn behind_id(message: &[u8]) -> Option<&[u8]> {
    let space = memchr::memchr(b' ', message)?;
    let id = message.get(..space)?;
    let is_id = matches!(id.len(), 16 | 23)
        && id.get(6) == Some(&b'-')
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    is_id.then(|| message.get(space + 1..))?
}

/// Without ` I=[…]:25`, ` X=…`, ` CV=no`, ` F=<…>`, ` A=…` and ` U=…` in front.
fn without_elements(mut text: &[u8]) -> &[u8] {
    loop {
        let element = || {
            let rest = text.strip_prefix(b" ")?;
            let sign = rest.iter().position(|byte| *byte == b'=')?;
            let is_name =
                (1..=3).contains(&sign) && rest.get(..sign)?.iter().all(u8::is_ascii_uppercase);
            is_name.then_some(())?;
            let value = rest.get(sign + 1..)?;
            let length = if value.starts_with(b"<") {
                memchr::memmem::find(value, b"> ")? + 1
            } else {
                memchr::memchr(b' ', value).unwrap_or(value.len())
            };
            value.get(length..)
        };
        match element() {
            Some(rest) => text = rest,
            None => return text,
        }
    }
}

fn host(text: &[u8]) -> Option<Endpoint> {
    host_and_rest(text).map(|(endpoint, _)| endpoint)
}

/// `name (helo) [192.0.2.1]:4242`, of which only the address is always there, and what is behind.
fn host_and_rest(text: &[u8]) -> Option<(Endpoint, &[u8])> {
    let mut rest = text;
    if !rest.starts_with(b"(") && !rest.starts_with(b"[") {
        let space = memchr::memchr(b' ', first(rest, LONGEST_HELO))?;
        rest = rest.get(space + 1..)?;
    }
    if rest.starts_with(b"(") {
        rest = rest.get(memchr::memmem::find(first(rest, LONGEST_HELO), BEHIND_HELO)? + 2..)?;
    }
    let (endpoint, behind) = Endpoint::bracketed(rest)?;
    // `+incoming_interface`.
    let server = || Endpoint::bracketed(behind.strip_prefix(b" I=")?);
    let server = server().map_or(Destination::default(), |(server, _)| Destination {
        address: Some(server.address),
        port: server.port,
    });
    Some((endpoint.at_server(server), behind))
}

const BEHIND_HELO: &[u8] = b") [";

/// A command of SMTP and its argument have at most 512 bytes (RFC 5321 §4.5.3.1.4); what Exim
/// cannot print is four bytes long.
const LONGEST_HELO: usize = 2_048;

/// A HELO may hold `) [192.0.2.66]:4242` itself: then the line names two.
fn ambiguous_or(entry: Entry<'_>, endpoint: Endpoint, moment: Moment) -> Outcome {
    let message = entry.message;
    let behind_helo = memchr::memmem::find_iter(message, BEHIND_HELO)
        .filter_map(|at| Endpoint::bracketed(message.get(at + 2..)?));
    let is_other =
        |other: Endpoint| (other.address, other.port) != (endpoint.address, endpoint.port);
    if behind_helo.map(|(other, _)| other).any(is_other) {
        return entry.ambiguous();
    }
    entry.seen(endpoint, moment)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::testing::read_lines;

    #[test]
    fn a_helo_is_not_the_host_and_a_delivery_is_no_client() {
        insta::assert_snapshot!(read_lines(
            "exim",
            Some(TimeZone::UTC),
            &[
                "2026-11-21 10:53:22 SMTP connection from [203.0.113.7]:49152 I=[192.0.2.25]:25 (TCP/IP connection count = 1)",
                "2026-11-21 10:53:22 1wPsQe-0000Ab-3x <= a@example.org H=a.example.org (helo) [2001:db8::7]:49152 I=[2001:db8::25]:25 P=esmtp S=340 id=x@example.org",
                "2026-11-21 10:53:22 1wPsQe-0000Ab-3x <= \"x H=y [192.0.2.66]:4242\"@example.org H=(helo) [203.0.113.7]:49152 P=esmtp S=340",
                "2026-11-21 10:53:22 1wPsQe-0000Ab-3x <= a@example.org H=([192.0.2.66]) [203.0.113.7]:2026 P=esmtp S=340",
                "2026-11-21 10:53:22 H=(x) [192.0.2.66]:4242) [203.0.113.7]:49152 F=<a@example.org> rejected RCPT <b@example.org>: relay not permitted",
                "2026-11-21 10:53:22 H=(helo) [203.0.113.7] F=<a@example.org> rejected RCPT <b@example.org>: relay not permitted",
                "2026-11-21 10:53:22 1wPsQe-0000Ab-3x => b@example.org R=dnslookup T=remote_smtp H=mx.example.org [192.0.2.25]:25 C=\"250 ok\"",
                "2026-11-21 10:53:22 1wPsQe-0000Ab-3x H=mx.example.org [192.0.2.25]:25 Connection refused",
                "2026-11-21 10:53:22 1wPsQe-00000001Abc-3xyz H=(helo) [203.0.113.7]:49152 F=<a@example.org> rejected after DATA: spam",
                "2026-11-21 10:53:22 plain_server authenticator failed for (helo) [203.0.113.7]:49152: 535 Incorrect authentication data (set_id=x [192.0.2.66]:4242)",
                "2026-11-21 10:53:22 plain_server authenticator failed for (helo) [203.0.113.7]:49152: 535 Incorrect authentication data (set_id=(x) [192.0.2.66]:4242)",
                "2026-11-21 10:53:22.123 +0100 [812] SMTP connection from (helo) [203.0.113.7]:49152 lost D=1s",
                "2026-11-21 10:53:22 rejected EHLO from [203.0.113.7]:49152: syntactically invalid argument(s): H=x [192.0.2.66]:4242",
                "2026-11-21T10:53:22+01:00 mail exim[812]: 2026-11-21 10:53:22 SMTP call from [203.0.113.7]:49152 dropped: too many syntax or protocol errors",
                "2026-11-21T10:53:22 x",
            ]
        ));
    }

    #[test]
    fn the_repeated_hour_is_two_instants() {
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        insta::assert_snapshot!(read_lines(
            "exim",
            Some(zone),
            &[
                "2026-11-01 01:59:59 SMTP connection from [203.0.113.7]:49152 (TCP/IP connection count = 1)"
            ]
        ));
    }
}
