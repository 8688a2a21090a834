//! One entry of a log whose time was read, on its way to a sighting.

use std::net::IpAddr;

use portledger_model::{Destination, Moment};

use crate::{
    Options, Reason, Skip, address,
    fields::{Fields, Side, Times},
    reader::Outcome,
};

/// Who was at the other end, as a line tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) address: IpAddr,
    pub(super) port: Option<u16>,
    /// The server's own end.
    pub(super) server: Destination,
}

impl Endpoint {
    pub(super) const fn new(address: IpAddr, port: Option<u16>) -> Self {
        Self {
            address,
            port,
            server: Destination {
                address: None,
                port: None,
            },
        }
    }

    pub(super) const fn at_server(mut self, server: Destination) -> Self {
        self.server = server;
        self
    }

    /// `192.0.2.1:4242`; `[2001:db8::1]:4242`; `2001:db8::1:4242`, whose last colon separates.
    pub(super) fn with_colon(text: &[u8]) -> Option<Self> {
        address::endpoint(text).map(|(address, port)| Self::new(address, Some(port)))
    }

    /// `[192.0.2.1]` and `[192.0.2.1]:4242` in front of `text`, and what is behind it.
    pub(super) fn bracketed(text: &[u8]) -> Option<(Self, &[u8])> {
        let end = memchr::memchr(b']', text)?;
        let inside = text.get(..end)?.strip_prefix(b"[")?;
        // Postfix writes `IPv6:2001:db8::1` in some of its lines, as SMTP does (RFC 5321 §4.1.3).
        let inside = inside.strip_prefix(b"IPv6:").unwrap_or(inside);
        let address = address::parse(inside)?;
        let rest = text.get(end + 1..)?;
        let Some(after) = rest.strip_prefix(b":") else {
            return Some((Self::new(address, None), rest));
        };
        let digits = after.iter().take_while(|byte| byte.is_ascii_digit());
        let digits = digits.count();
        if digits == 0 {
            return Some((Self::new(address, None), rest));
        }
        let port = address::port(after.get(..digits)?)?;
        Some((Self::new(address, Some(port)), after.get(digits..)?))
    }
}

/// An entry, its time in `fields`.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) fields: Fields,
    /// What its program says.
    pub(super) message: &'a [u8],
    pub(super) line: &'a [u8],
    pub(super) number: u64,
    pub(super) options: &'a Options,
}

impl Entry<'_> {
    /// The endpoint was seen at the entry's time.
    pub(super) fn seen(mut self, endpoint: Endpoint, moment: Moment) -> Outcome {
        let at = self.at();
        let written = address::Written::Ip(endpoint.address);
        self.fields.set_address(Side::Remote, written, at);
        self.fields.set_port(Side::Remote, endpoint.port);
        self.fields.destination = endpoint.server;
        self.fields
            .sighting(Times::End(moment), self.options, self.number)
            .map(Ok)
    }

    /// What stands where the client should is one of several, of which a client made some up.
    pub(super) fn ambiguous(&self) -> Outcome {
        Err((self.at(), Reason::Ambiguous))
    }

    /// What stands where the client should is no address.
    pub(super) fn no_endpoint(&self, expected: &'static str) -> Outcome {
        Err((self.at(), Reason::Value { expected }))
    }

    /// Where the message begins in its line.
    pub(super) fn at(&self) -> usize {
        self.line.len().saturating_sub(self.message.len())
    }
}

/// The entry names no client.
pub(super) const NO_CLIENT: Outcome = Ok(Err(Skip::NoClient));

/// The one endpoint that stands at all of the places where one may stand; `Err` where a client's own
/// text made up another, or where one place has none: the genuine one may be what cannot be read.
pub(super) fn the_only(
    mut places: impl Iterator<Item = Option<Endpoint>>,
) -> Result<Option<Endpoint>, TwoEndpoints> {
    match places.next() {
        None => Ok(None),
        Some(first) if places.any(|other| other != first) => Err(TwoEndpoints),
        Some(first) => Ok(first),
    }
}

/// A line names two, one of which a client made up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TwoEndpoints;

/// The first bytes of a text, as many as what is looked for in it may be long: so that a line on
/// which the search begins at many places takes no longer than its length.
pub(super) fn first(text: &[u8], most: usize) -> &[u8] {
    text.get(..most).unwrap_or(text)
}

/// The last bytes of a text, likewise.
pub(super) fn last(text: &[u8], most: usize) -> &[u8] {
    text.get(text.len().saturating_sub(most)..).unwrap_or(text)
}

/// What follows `words` in `text`, where it has them.
pub(super) fn after<'a>(text: &'a [u8], words: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(text, words)?;
    text.get(at + words.len()..)
}

/// `text` before and after the first `byte`.
pub(super) fn split_at(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(byte, text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}
