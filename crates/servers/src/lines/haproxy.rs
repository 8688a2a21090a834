//! HAProxy's log, as it comes through syslog or from its standard output: each of its own formats,
//! since one process writes several, or the operator's.

use std::sync::Arc;

use portledger_model::{Moment, Transport};

use super::{Lines, syslog};
use crate::{
    Options, Reason, Skip, address,
    fields::{Fault, Fields, Found, Side, Times},
    pattern::{Pattern, haproxy},
    reader::Outcome,
    time::Pieces,
};

const PROGRAM: &[&[u8]] = &[b"haproxy"];

/// Lines of a pattern behind what syslog puts before them, or without.
#[derive(Debug)]
pub(crate) struct BehindSyslog {
    pattern: Arc<Pattern>,
}

impl BehindSyslog {
    pub(crate) const fn new(pattern: Arc<Pattern>) -> Self {
        Self { pattern }
    }
}

impl Lines for BehindSyslog {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        match own_words(line) {
            Some((words, _)) => behind(line, words, |words| {
                self.pattern.read(words, number, options)
            })
            .map(Ok),
            None => Ok(Err(Skip::OtherProgram)),
        }
    }
}

/// Reads HAProxy's own formats.
#[derive(Debug)]
pub(super) struct HaProxy {
    /// In the order in which they are tried: a line of one is none of those before it.
    patterns: Vec<Pattern>,
}

impl HaProxy {
    pub(super) fn new() -> Self {
        let patterns = [
            (haproxy::HTTP, Moment::RequestStart),
            (haproxy::TCP, Moment::Connect),
            (haproxy::CLF, Moment::RequestStart),
            (haproxy::ERROR, Moment::Logged),
        ];
        let compiled = patterns
            .into_iter()
            .map(|(text, start)| haproxy::built_in(text, start));
        Self {
            patterns: compiled.filter_map(Result::ok).collect(),
        }
    }

    fn read_own(&self, words: &[u8], number: u64, options: &Options) -> Result<Found, Fault> {
        let mut furthest = (0, Reason::NoAddress);
        for pattern in &self.patterns {
            match pattern.read(words, number, options) {
                Ok(found) => return Ok(found),
                Err(fault) if fault.0 >= furthest.0 => furthest = fault,
                Err(_) => {}
            }
        }
        Err(furthest)
    }
}

impl Lines for HaProxy {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let Some((words, pieces)) = own_words(line) else {
            return Ok(Err(Skip::OtherProgram));
        };
        let at = line.len() - words.len();
        if let Some(rest) = words.strip_prefix(CONNECT) {
            let of_syslog = pieces.ok_or((at, NO_TIME))?;
            let at = line.len() - rest.len();
            return connect(rest, at, of_syslog, number, options).map(Ok);
        }
        // What HAProxy says of itself: it is up, a server is down.
        let first = words.split(|byte| *byte == b' ').next().unwrap_or_default();
        let is_client = address::endpoint(first).is_some()
            || address::parse(first).is_some()
            || first.starts_with(b"unix:");
        if !is_client && pieces.is_some() {
            return Ok(Err(Skip::NoClient));
        }
        self.read_own(words, number, options)
            .map(Ok)
            .map_err(|(column, reason)| (at + column, reason))
    }
}

const CONNECT: &[u8] = b"Connect from ";
const NO_TIME: Reason = Reason::Time {
    expected: "a syslog header with the time: 'Connect from' has none of its own",
};

/// `203.0.113.7:49152 to 192.0.2.80:443 (web/HTTP)`: in HTTP mode one a request, so that the time
/// is not that of the connect.
fn connect(
    rest: &[u8],
    at: usize,
    of_syslog: Pieces,
    number: u64,
    options: &Options,
) -> Result<Found, Fault> {
    let mut fields = Fields::over(Some(Transport::Tcp));
    fields.end = of_syslog;
    let mut parts = rest.splitn(4, |byte| *byte == b' ');
    let expected = "an address and a port, 'to' and the server's own";
    let (client, to, server) = (parts.next(), parts.next(), parts.next());
    let (Some(client), Some(b"to"), Some(server)) = (client, to, server) else {
        return Err((at, Reason::Value { expected }));
    };
    let Some((address, port)) = address::endpoint(client) else {
        let reason = match client {
            _ if client.starts_with(b"unix:") => Reason::UnixSocket,
            _ => Reason::Value { expected },
        };
        return Err((at, reason));
    };
    fields.set_address(Side::Remote, address::Written::Ip(address), at);
    fields.set_port(Side::Remote, Some(port));
    if let Some((address, port)) = address::endpoint(server) {
        fields.destination.address = Some(address);
        fields.destination.port = Some(port);
    }
    fields.sighting(Times::End(Moment::Logged), options, number)
}

/// HAProxy's own words, and the time of the header before them, where there is one; `None` of
/// another program's line.
fn own_words(line: &[u8]) -> Option<(&[u8], Option<Pieces>)> {
    let mut pieces = Pieces::default();
    match syslog::header(line, &mut pieces) {
        Ok(Some(header)) if header.is_of(PROGRAM) => Some((header.message, Some(pieces))),
        // A line of HAProxy's own begins with an address, in which a header may be seen that names
        // no program.
        Ok(Some(header)) if !header.program.is_empty() => None,
        _ => Some((line, None)),
    }
}

/// Reads a part of a line, and says of a fault where it is in the whole.
fn behind<T>(
    line: &[u8],
    words: &[u8],
    read: impl FnOnce(&[u8]) -> Result<T, Fault>,
) -> Result<T, Fault> {
    read(words).map_err(|(at, reason)| (line.len() - words.len() + at, reason))
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn every_format_of_its_own() {
        let zone = jiff::tz::TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        insta::assert_snapshot!(read_lines(
            "haproxy",
            Some(zone),
            &[
                r#"Nov 21 10:53:22 lb haproxy[7]: 203.0.113.7:49152 [21/Nov/2026:05:53:22.123] web app/s1 0/0/0/2501/2501 200 73 - - ---- 1/1/0/0/0 0/0 {|[client 192.0.2.66:4242]} "GET / HTTP/1.1""#,
                r#"2001:db8::7:49152 [21/Nov/2026:05:53:22.123] web~ web/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 1/1/0/0/0 0/0 "<BADREQ>""#,
                r#"::ffff:203.0.113.7:49152 [21/Nov/2026:05:53:22.123] web app/s1 0/0/0/0/+512 200 +73 - - ---- 1/1/0/0/0 0/0 "GET / HTTP/1.1""#,
                "<134>Nov 21 10:53:22 lb haproxy[7]: 203.0.113.7:49152 [21/Nov/2026:05:53:22.123] tcp tapp/s1 1/0/2554 85 -- 2/2/0/0/0 0/0",
                "<134>Nov 21 05:53:22 lb haproxy[7]: Connect from 2001:db8::7:49152 to 2001:db8::80:443 (web/HTTP)",
                r#"<134>1 2026-11-21T10:53:22.123456+00:00 lb haproxy 7 - - 203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] "GET / HTTP/1.1" 200 73 "" "" 49152 939 "clf" "app" "s1" 0 0 0 0 0 ---- 1 1 0 0 0 0 0 "" "" "#,
                "Nov 21 10:53:22 lb haproxy[7]: 203.0.113.7:49152 [21/Nov/2026:05:53:22.123] web/1: SSL handshake failure",
                "Nov 21 10:53:22 lb haproxy[7]: Server app/s1 is DOWN, reason: Layer4 connection problem",
                "Nov 21 10:53:22 lb sshd[7]: Connect from 192.0.2.66:4242 to 192.0.2.80:443 (web/HTTP)",
                "Connect from 203.0.113.7:49152 to 192.0.2.80:443 (web/HTTP)",
                "Nov 21 05:53:22 lb haproxy[7]: Connect from unix:1 to 192.0.2.80:443 (web/HTTP)",
                "Nov 21 10:53:22 lb haproxy[7]: 203.0.113.7:49152 [01/Nov/2026:01:53:22.123] tcp tapp/s1 1/0/2554 85 -- 2/2/0/0/0 0/0",
            ],
        ));
        // Without a zone the time is not known, but the syslog header's own offset is.
        insta::assert_snapshot!(read_lines(
            "haproxy",
            None,
            &[
                "203.0.113.7:49152 [21/Nov/2026:05:53:22.123] tcp tapp/s1 1/0/2554 85 -- 2/2/0/0/0 0/0",
                "2026-11-21T10:53:22.123456+01:00 lb haproxy[7]: Connect from 203.0.113.7:49152 to 192.0.2.80:443 (web/HTTP)",
            ],
        ));
    }
}
