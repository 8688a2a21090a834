//! Values that several of the files have.

use std::net::IpAddr;

use portledger_model::Timestamp;

/// Bytes in hex with colons between them, as `00:00:5e:00:53:af`; a digit may stand alone, as ISC
/// writes it. `None` where it is something else, or nothing.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    text.split(':')
        .map(|pair| {
            let is_hex =
                (1..=2).contains(&pair.len()) && pair.bytes().all(|it| it.is_ascii_hexdigit());
            is_hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        })
        .collect()
}

/// Bytes as `00:00:5e:00:53:af`.
pub(super) fn colons(bytes: &[u8]) -> Box<str> {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (place, byte) in bytes.iter().enumerate() {
        if place > 0 {
            text.push(':');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    text.into()
}

/// The same, read and written again: one look for one address.
pub(super) fn address(text: &str) -> Option<Box<str>> {
    hex(text).map(|bytes| colons(&bytes))
}

/// How many bits one address has.
pub(super) const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Seconds since 1970.
pub(super) fn seconds(text: &str) -> Option<Timestamp> {
    // Past the year 9999 no server's clock goes.
    let seconds: i64 = text.parse().ok()?;
    (0..=253_402_300_799)
        .contains(&seconds)
        .then(|| Timestamp::from_secs(seconds))
}

/// A name, where there is one that can be printed.
pub(super) fn name(text: &str) -> Option<Box<str>> {
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.into())
}
