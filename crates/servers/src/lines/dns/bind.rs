//! BIND's log, in its channels' files and through syslog: `client @0x… address#port (name): …`.
//!
//! What stands before the endpoint is BIND's; the name that was asked for, which is the client's,
//! stands behind it.

use portledger_model::{Moment, Transport};

use super::super::{
    Lines,
    entry::{Endpoint, Entry, NO_CLIENT, after, split_at},
    programs::{Known, Program, Syslog},
    syslog::Header,
};
use crate::{
    Options, Reason, address,
    fields::Fields,
    reader::Outcome,
    time::{Pieces, parse::Cursor},
};

pub(in crate::lines) const KNOWN: Known = Known {
    name: "bind",
    is_of: |header| header.is_of(&[b"named"]),
    start: || Box::new(Named),
};

#[derive(Debug)]
struct Named;

impl Program for Named {
    fn read(&mut self, _: &Header<'_>, entry: Entry<'_>) -> Outcome {
        message(entry)
    }
}

/// Reads BIND's lines, by whichever way they were written.
#[derive(Debug)]
pub(in crate::lines) struct Log {
    syslog: Syslog,
}

impl Log {
    pub(in crate::lines) fn new() -> Self {
        Self {
            syslog: Syslog::of(&[KNOWN]),
        }
    }
}

impl Lines for Log {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let mut fields = Fields::default();
        let mut cursor = Cursor::new(line, 0);
        let read = match (line.get(2), line.get(10)) {
            (Some(b'-'), _) => day_first(&mut cursor, &mut fields.end),
            (_, Some(b'T')) if line.get(4) == Some(&b'-') => cursor.iso(&mut fields.end),
            _ => return self.syslog.read(line, number, options),
        };
        if read.is_none() {
            let expected = "21-Nov-2026 10:53:22.123 or 2026-11-21T10:53:22.123Z";
            return Err((cursor.at.min(line.len()), Reason::Time { expected }));
        }
        let Some(message_text) = cursor.rest().strip_prefix(b" ") else {
            return self.syslog.read(line, number, options);
        };
        // A host and a program are syslog's.
        if !is_client(without_labels(message_text)) && is_of_syslog(message_text) {
            return self.syslog.read(line, number, options);
        }
        message(Entry {
            fields,
            message: message_text,
            line,
            number,
            options,
        })
    }
}

/// ` host named[123]: `: a word and another with a colon, where BIND's own labels have one each.
fn is_of_syslog(message: &[u8]) -> bool {
    let Some((host, rest)) = split_at(message, b' ') else {
        return false;
    };
    let tag = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
    !host.ends_with(b":") && tag.ends_with(b"]:")
}

/// `21-Nov-2026 10:53:22.123`.
fn day_first(cursor: &mut Cursor<'_>, pieces: &mut Pieces) -> Option<()> {
    pieces.day = cursor.two()?;
    cursor.byte(b'-')?;
    pieces.month = cursor.month_name()?;
    cursor.byte(b'-')?;
    pieces.year = Some(cursor.year()?);
    cursor.byte(b' ')?;
    cursor.clock(pieces)
}

/// Without the category and the severity in front: `queries: info: `.
fn without_labels(mut message: &[u8]) -> &[u8] {
    loop {
        let label = || {
            let (label, rest) = split_at(message, b':')?;
            let is_label = !label.is_empty()
                && label
                    .iter()
                    .all(|byte| byte.is_ascii_lowercase() || *byte == b'-');
            is_label.then(|| rest.strip_prefix(b" "))?
        };
        match label() {
            Some(rest) => message = rest,
            None => return message,
        }
    }
}

fn is_client(message: &[u8]) -> bool {
    message.starts_with(b"client ")
}

fn message(mut entry: Entry<'_>) -> Outcome {
    let words = without_labels(entry.message);
    let Some(client) = words.strip_prefix(b"client ") else {
        return NO_CLIENT;
    };
    let read = || {
        // Since 9.11 the client's object comes first.
        let client = match client.strip_prefix(b"@") {
            Some(rest) => split_at(rest, b' ')?.1,
            None => client,
        };
        let (address, rest) = split_at(client, b'#')?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let port = address::port(rest.get(..digits)?)?;
        let endpoint = Endpoint::new(address::parse(address)?, Some(port));
        Some((endpoint, rest.get(digits..)?))
    };
    let Some((mut endpoint, behind)) = read() else {
        return entry.no_endpoint("address#port behind 'client'");
    };
    entry.fields.transport = None;
    if let Some((transport, server)) = query(behind) {
        entry.fields.transport = Some(transport);
        endpoint.server.address = server;
    }
    entry.seen(endpoint, Moment::Logged)
}

/// `: query: name IN A +E(0)TK (192.0.2.53)`: behind the name, whose spaces BIND escapes, the flags
/// say `T` for TCP, and the address is the server's.
fn query(behind: &[u8]) -> Option<(Transport, Option<std::net::IpAddr>)> {
    let query = after(behind, b": query: ")?;
    let mut words = query.split(|byte| *byte == b' ').skip(3);
    let flags = words.next()?;
    matches!(flags.first(), Some(b'+' | b'-')).then_some(())?;
    // The number in `E(0)` is that of EDNS's version.
    let transport = if flags.contains(&b'T') {
        Transport::Tcp
    } else {
        Transport::Udp
    };
    let server = words
        .next()
        .and_then(|word| word.strip_prefix(b"(")?.strip_suffix(b")"));
    Some((transport, server.and_then(address::parse)))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::testing::read_lines;

    #[test]
    fn the_name_asked_for_is_not_the_client() {
        insta::assert_snapshot!(read_lines(
            "bind",
            Some(TimeZone::UTC),
            &[
                "21-Nov-2026 10:53:22.123 queries: info: client @0x7f3aa8ee8098 203.0.113.7#49152 (a.example.org): query: a.example.org IN A +E(0)K (192.0.2.53)",
                r"2026-11-21T10:53:22.123Z client @0x7f3aa8ee8098 2001:db8::7#2026 (client\032192.0.2.66#4242): query: client\032192.0.2.66#4242 IN TXT -E(0)TK (2001:db8::53)",
                "2026-11-21T10:53:22.123 security: error: client 203.0.113.7#49152: update 'example.org/IN' denied",
                "2026-11-21T10:53:22.123+01:00 client @0x1 203.0.113.7#49152/key client 192.0.2.66#4242 (a): view internal: query (cache) 'a/A/IN' denied",
                "2026-11-21T10:53:22.123456+01:00 host named[7]: client @0x1 203.0.113.7#49152 (a): query failed (REFUSED) for a/IN/A at query.c:5708",
                "Nov 21 10:53:22 host named[7]: client 203.0.113.7#49152: query: a IN A + (192.0.2.53)",
                "21-Nov-2026 10:53:22.123 general: notice: running",
                "21-Nov-2026 10:53:22.123 client @0x1 a#b (x): query",
            ]
        ));
    }
}
