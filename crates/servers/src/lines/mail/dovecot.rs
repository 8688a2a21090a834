//! Dovecot: its login processes, and what its later processes say of the same session.
//!
//! The session's id has the endpoint and the moment of the connect in it: base64, without padding,
//! of 48 bits of microseconds since 1970, the port (both the low byte first) and the address. It
//! is there by default, `rport=` is not, and its time is the connect's, where the line's is that
//! of the login or of its failure.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use portledger_model::{Destination, Moment, Timestamp};

use super::super::{
    entry::{Endpoint, Entry, NO_CLIENT, first, last},
    programs::{Known, Program},
    syslog::Header,
};
use crate::{
    address,
    reader::Outcome,
    time::{Epoch, Pieces},
};

pub(in crate::lines) const KNOWN: Known = Known {
    name: "dovecot",
    is_of: |header| header.is_of(&[b"dovecot"]),
    start: || Box::new(Dovecot),
};

#[derive(Debug)]
struct Dovecot;

impl Program for Dovecot {
    fn read(&mut self, _: &Header<'_>, entry: Entry<'_>) -> Outcome {
        let Some(end) = memchr::memmem::find(entry.message, b": ") else {
            return NO_CLIENT;
        };
        let (service, rest) = entry.message.split_at(end);
        if service.ends_with(b"-login") {
            return login(rest, entry);
        }
        if service.starts_with(b"auth") {
            return authentication(rest, entry);
        }
        later(entry)
    }
}

const MISMATCH: &str = "a session id that has the address and port of rip= and rport=";

/// `: Login: user=<…>, method=PLAIN, rip=…, rport=…, lip=…, session=<…>`.
fn login(rest: &[u8], entry: Entry<'_>) -> Outcome {
    let Some(elements) = elements(rest) else {
        return NO_CLIENT;
    };
    let value = |name: &[u8]| value(elements, name);
    let Some(remote) = value(b"rip=") else {
        return NO_CLIENT;
    };
    let Some(address) = address::parse(remote) else {
        return entry.no_endpoint("an address after rip=");
    };
    let mut endpoint = Endpoint::new(address, value(b"rport=").and_then(address::port));
    endpoint.server = Destination {
        address: value(b"lip=").and_then(address::parse),
        port: value(b"lport=").and_then(address::port),
    };
    // The last is the server's, also where a user's name stands behind `rip=`.
    let ids = memchr::memmem::rfind(elements, b"session=<");
    let id = ids.and_then(|at| elements.get(at + 9..)?.split(|byte| *byte == b'>').next());
    let Some(session) = id.and_then(Session::decode) else {
        return entry.seen(endpoint, Moment::Logged);
    };
    let same_port = endpoint.port.is_none_or(|port| port == session.port);
    if session.address != address || !same_port {
        return entry.no_endpoint(MISMATCH);
    }
    endpoint.port = Some(session.port);
    seen(session, endpoint, entry)
}

/// The elements of `login_log_format_elements` in which no user's text stands. The user chose the
/// name, which may hold `>, rip=192.0.2.66`: what is genuine stands on the other side of it.
fn elements(rest: &[u8]) -> Option<&[u8]> {
    let Some(user) = memchr::memmem::find(rest, b"user=<") else {
        return Some(rest);
    };
    let before = rest.get(..user)?;
    if value(before, b"rip=").is_some() {
        return Some(before);
    }
    let last = memchr::memmem::rfind(rest, b", rip=")?;
    rest.get(last..)
}

/// What stands behind `name` up to the next comma or space.
fn value<'a>(elements: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut all = memchr::memmem::find_iter(elements, name);
    let at = all.find(|at| *at == 0 || elements.get(at - 1) == Some(&b' '))?;
    let rest = elements.get(at + name.len()..)?;
    let end = rest.iter().position(|byte| matches!(byte, b',' | b' '));
    rest.get(..end.unwrap_or(rest.len()))
}

/// `: passdb(user,192.0.2.1,<session>): unknown user`: a login that failed, named by nobody else.
fn authentication(rest: &[u8], entry: Entry<'_>) -> Outcome {
    let told = |at: usize| {
        // Where a line has no session, a user's name may look like one: then its end follows.
        if memchr::memmem::find(rest.get(at + 4..)?, b"): ").is_some() {
            return None;
        }
        let before = last(rest.get(..at)?, LONGEST_PLACE);
        let open = memchr::memrchr(b'<', before)?;
        let session = Session::decode(before.get(open + 1..)?)?;
        let before = before.get(..open)?.strip_suffix(b",")?;
        let comma = memchr::memrchr(b',', before)?;
        Some((session, address::parse(before.get(comma + 1..)?)?))
    };
    let mut all = memchr::memmem::find_iter(rest, b">): ").filter_map(told);
    match (all.next(), all.next()) {
        (None, _) => NO_CLIENT,
        (Some(_), Some(_)) => entry.ambiguous(),
        (Some((session, address)), None) if session.address == address => {
            seen(session, Endpoint::new(address, Some(session.port)), entry)
        }
        (Some(_), None) => entry.no_endpoint(MISMATCH),
    }
}

/// An address, a process and a session's id are no longer together.
const LONGEST_PLACE: usize = 128;

/// The services behind a login, whose lines begin `imap(user)<pid><session>: `.
const SERVICES: &[&[u8]] = &[
    b"imap",
    b"pop3",
    b"submission",
    b"managesieve",
    b"imap-urlauth",
    b"imap-hibernate",
];

fn later(entry: Entry<'_>) -> Outcome {
    let message = entry.message;
    let is_service = |name: &&[u8]| {
        message
            .strip_prefix(*name)
            .is_some_and(|rest| rest.starts_with(b"("))
    };
    if !SERVICES.iter().any(is_service) {
        return NO_CLIENT;
    }
    // A user's name and a mailbox's may look like the session's place.
    let told = |at: usize| {
        let rest = message.get(at + 2..)?;
        let place = first(rest, LONGEST_PLACE);
        let digits = place.iter().take_while(|byte| byte.is_ascii_digit());
        let place = place.get(digits.count()..)?.strip_prefix(b"><")?;
        let end = memchr::memmem::find(place, b">: ")?;
        let session = Session::decode(place.get(..end)?)?;
        // Dovecot 2.2 has no session there: what looks like one is then of a name that goes on.
        memchr::memmem::find(rest, b"): ")
            .is_none()
            .then_some(session)
    };
    let mut all = memchr::memmem::find_iter(message, b")<").filter_map(told);
    match (all.next(), all.next()) {
        (None, _) => NO_CLIENT,
        (Some(_), Some(_)) => entry.ambiguous(),
        (Some(session), None) => {
            let endpoint = Endpoint::new(session.address, Some(session.port));
            seen(session, endpoint, entry)
        }
    }
}

/// The endpoint, at the connect where the id's time is of the line's session, else at the line.
fn seen(session: Session, endpoint: Endpoint, mut entry: Entry<'_>) -> Outcome {
    // The date has to be one, also where the session's time is taken.
    if let Err(reason) = entry.fields.end.instant(entry.options) {
        return Err((0, reason));
    }
    match session.connected_before(&entry) {
        Some(at) => {
            entry.fields.end = Pieces {
                epoch: Some(Epoch {
                    micros: at.as_micros(),
                    step: Duration::from_micros(1),
                }),
                ..Pieces::default()
            };
            entry.seen(endpoint, Moment::Connect)
        }
        None => entry.seen(endpoint, Moment::Logged),
    }
}

/// What a session's id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    /// The low 48 bits of the microseconds since 1970.
    micros: i64,
    port: u16,
    address: std::net::IpAddr,
}

/// The id's time starts again after 2^48 microseconds: 8.9 years.
const ERA: i64 = 1 << 48;

/// The longest that a session is believed to last: an id that is further off is not of the line.
const LONGEST: Duration = Duration::from_secs(60 * 86_400);

/// By how much the line's clock may be behind the id's, and its zone unknown.
const SLACK: Duration = Duration::from_secs(86_400);

impl Session {
    fn decode(id: &[u8]) -> Option<Self> {
        if !matches!(id.len(), 16 | 32) {
            return None;
        }
        let bytes = STANDARD_NO_PAD.decode(id).ok()?;
        let (time, rest) = bytes.split_first_chunk::<6>()?;
        let (port, address) = rest.split_first_chunk::<2>()?;
        let address = match address.len() {
            4 => std::net::IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
            16 => std::net::IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
            _ => return None,
        };
        let mut micros = [0_u8; 8];
        micros.get_mut(..6)?.copy_from_slice(time);
        Some(Self {
            micros: i64::from_le_bytes(micros),
            port: u16::from_le_bytes(*port),
            // An IPv4 client of an IPv6 socket.
            address: address.to_canonical(),
        })
    }

    /// When it connected: the last such moment before the line was written.
    fn connected_before(&self, entry: &Entry<'_>) -> Option<Timestamp> {
        let line = line_time(entry)?;
        let latest = line.after(SLACK).as_micros();
        let since = (latest - self.micros).rem_euclid(ERA);
        let at = Timestamp::from_micros(latest - since);
        (at >= line.before(LONGEST)).then_some(at)
    }
}

/// When the line was written, to within a day where it has no zone.
fn line_time(entry: &Entry<'_>) -> Option<Timestamp> {
    let told = entry.fields.end.instant(entry.options).ok()?;
    if told.at.is_some() {
        return told.at;
    }
    let mut options = entry.options.clone();
    options.zone = Some(jiff::tz::TimeZone::UTC);
    entry.fields.end.instant(&options).ok()?.at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::read_lines;

    fn lines(messages: &[&str]) -> String {
        let lines: Vec<String> = messages
            .iter()
            .map(|message| format!("2026-11-29T13:29:30.030326-05:00 mail dovecot: {message}"))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        read_lines("dovecot", None, &lines)
    }

    #[test]
    fn the_session_has_the_port_and_the_better_time() {
        insta::assert_snapshot!(lines(&[
            "imap-login: Login: user=<alice>, method=PLAIN, rip=203.0.113.7, lip=192.0.2.25, mpid=21118, session=<mW8LeW5hKKDLAHEH>",
            "imap-login: Login: user=<alice>, method=PLAIN, rip=203.0.113.7, rport=41000, lip=192.0.2.25, lport=143, session=<mW8LeW5hKKDLAHEH>",
            "imap-login: Login: user=<alice>, method=PLAIN, rip=203.0.113.7, rport=41001, lip=192.0.2.25, session=<mW8LeW5hKKDLAHEH>",
            "imap-login: Login: user=<alice>, method=PLAIN, rip=203.0.113.8, lip=192.0.2.25, session=<mW8LeW5hKKDLAHEH>",
            "imap-login: Login: user=<alice>, method=PLAIN, rip=203.0.113.7, lip=192.0.2.25, session=<short>",
            "imap(alice)<21118><mW8LeW5hKKDLAHEH>: Disconnected: Logged out in=24 out=775",
            "auth: passwd-file(alice,203.0.113.7,<mW8LeW5hKKDLAHEH>): unknown user",
            "lmtp(alice)<21118><mW8LeW5hKKDLAHEH>: saved mail",
            "master: Dovecot v2.3.19.1 starting up for imap",
        ]));
    }

    #[test]
    fn what_a_user_calls_himself_is_not_believed() {
        insta::assert_snapshot!(lines(&[
            "imap-login: Disconnected: user=<x>, rip=192.0.2.66, rport=4242, session=<AAAAAAAAkhDAAAJC>, method=PLAIN, rip=203.0.113.7, lip=192.0.2.25, session=<mW8LeW5hKKDLAHEH>",
            "imap-login: Disconnected: rip=203.0.113.7, lip=192.0.2.25, session=<mW8LeW5hKKDLAHEH>, user=<x>, rip=192.0.2.66, session=<AAAAAAAAkhDAAAJC>",
            "auth: passwd-file(x,192.0.2.66,<AAAAAAAAkhDAAAJC>): ,203.0.113.7,<mW8LeW5hKKDLAHEH>): unknown user",
            "imap(x)<1><AAAAAAAAkhDAAAJC>: )<21118><mW8LeW5hKKDLAHEH>: Logged out",
        ]));
    }

    #[test]
    fn an_id_of_another_time_gives_no_time() {
        insta::assert_snapshot!(read_lines(
            "dovecot",
            None,
            &[
                "2026-06-29T13:29:30-05:00 mail dovecot: imap-login: Login: user=<a>, rip=203.0.113.7, session=<mW8LeW5hKKDLAHEH>",
                "Nov 29 13:29:30 mail dovecot: imap-login: Login: user=<a>, rip=203.0.113.7, session=<mW8LeW5hKKDLAHEH>",
            ]
        ));
    }

    proptest! {
        #[test]
        fn every_endpoint_comes_back(micros in 0..ERA, port: u16, v4: bool, bits: u128) {
            let address: std::net::IpAddr = if v4 {
                std::net::Ipv4Addr::from(bits as u32).into()
            } else {
                std::net::Ipv6Addr::from(bits).to_canonical()
            };
            let mut bytes = micros.to_le_bytes()[..6].to_vec();
            bytes.extend(port.to_le_bytes());
            match address {
                std::net::IpAddr::V4(address) => bytes.extend(address.octets()),
                std::net::IpAddr::V6(address) => bytes.extend(address.octets()),
            }
            let id = STANDARD_NO_PAD.encode(bytes);
            prop_assert_eq!(Session::decode(id.as_bytes()), Some(Session { micros, port, address }));
        }
    }
}
