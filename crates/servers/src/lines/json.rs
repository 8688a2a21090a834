//! Logs of which each line is a JSON object with keys that a server or its operator chose.

use std::{borrow::Cow, fmt, marker::PhantomData, net::IpAddr};

use portledger_model::{Moment, Transport};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Lines;
use crate::{
    Header, Options, Reason, address,
    fields::{Fault, Fields, Found, Side, Times},
    forwarded::Headers,
    reader::Outcome,
    time::{Epoch, Pieces, parse::Cursor},
};

/// A server's object: only what is needed of it.
pub(super) trait Row<'a>: Deserialize<'a> {
    /// Fills the fields, and says of which moments the times are.
    fn fill<'b>(&'b self, fields: &mut Fields, headers: &mut Headers<'b>) -> Result<Times, Reason>;
}

/// A family of rows, whatever the lifetime of what they borrow.
pub(super) trait Family: fmt::Debug + Send {
    type Row<'a>: Row<'a>;
}

/// Reads rows of one family.
#[derive(Debug)]
pub(super) struct Rows<F>(PhantomData<F>);

impl<F> Default for Rows<F> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<F: Family> Lines for Rows<F> {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        read::<F>(line, number, options).map(Ok)
    }
}

fn read<F: Family>(line: &[u8], number: u64, options: &Options) -> Result<Found, Fault> {
    // A row with a key twice is refused: one of the two may be a client's.
    let row: F::Row<'_> = serde_json::from_slice(line).map_err(|error| {
        let expected = "a JSON object with the keys of this server's log";
        (
            error.column().clamp(1, line.len()) - 1,
            Reason::Value { expected },
        )
    })?;
    let mut fields = Fields::over(Some(Transport::Tcp));
    let mut headers = Headers::default();
    let times = row
        .fill(&mut fields, &mut headers)
        .map_err(|reason| (0, reason))?;
    if options.trust.is_any() {
        fields.look_behind(&headers, &options.trust);
    }
    fields.sighting(times, options, number)
}

/// A value that is a number in one configuration and a string in another: its text.
pub(super) fn text(value: &RawValue) -> &str {
    let text = value.get();
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text)
}

/// Sets one side's address and port from what stands in a row.
pub(super) fn set_side(
    fields: &mut Fields,
    side: Side,
    address: &str,
    port: Option<&str>,
) -> Result<(), Reason> {
    fields.set_address(side, address::Written::read(address.as_bytes()), 0);
    if let Some(port) = port.filter(|port| !matches!(*port, "" | "-" | "null")) {
        let port = address::port(port.as_bytes()).ok_or(Reason::Port)?;
        fields.set_port(side, Some(port));
    }
    Ok(())
}

/// The same from `address:port`.
pub(super) fn set_endpoint(fields: &mut Fields, side: Side, text: &str) -> Result<(), Reason> {
    let written = match address::Written::read(text.as_bytes()) {
        address::Written::Other => {
            let expected = "an address and a port";
            let (address, port) =
                address::endpoint(text.as_bytes()).ok_or(Reason::Value { expected })?;
            fields.set_port(side, Some(port));
            address::Written::Ip(address)
        }
        written => written,
    };
    fields.set_address(side, written, 0);
    Ok(())
}

/// The server's own end from `address:port`.
pub(super) fn set_destination(fields: &mut Fields, text: &str) {
    let endpoint: Option<(IpAddr, u16)> = address::endpoint(text.as_bytes());
    fields.destination.address = endpoint.map(|(address, _)| address);
    fields.destination.port = endpoint.map(|(_, port)| port);
}

/// ISO 8601, or a number since 1970 whose digits tell its unit.
pub(super) fn set_time(pieces: &mut Pieces, text: &str) -> Result<(), Reason> {
    const WRONG: Reason = Reason::Time {
        expected: "1795258402.1234 or 2026-11-21T10:53:22.123Z",
    };
    let bytes = text.as_bytes();
    let mut cursor = Cursor::new(bytes, 0);
    let read = match bytes.get(4) {
        Some(b'-') => cursor.iso(pieces),
        // Go's `2006/01/02 15:04:05`.
        Some(b'/') => cursor.slashed(pieces),
        _ => epoch(&mut cursor).map(|epoch| pieces.epoch = Some(epoch)),
    };
    (read.is_some() && cursor.at == bytes.len())
        .then_some(())
        .ok_or(WRONG)
}

/// A number since 1970: its whole part tells the unit, and a fraction is taken to the microsecond.
fn epoch(cursor: &mut Cursor<'_>) -> Option<Epoch> {
    let start = cursor.at;
    let whole = cursor.number()?;
    let (unit, places) = match cursor.at - start {
        ..=11 => (1_000_000, 6),
        12..=14 => (1_000, 3),
        15..=17 => (1, 0),
        // Nanoseconds.
        18..=20 => {
            return Some(Epoch {
                micros: whole / 1_000,
                step: std::time::Duration::from_micros(1),
            });
        }
        _ => return None,
    };
    let mut micros = whole.checked_mul(unit)?;
    let mut step = unit;
    if cursor.byte(b'.').is_some() {
        let mut digits = 0;
        while let Some(digit) = cursor.peek().filter(u8::is_ascii_digit) {
            if digits < places {
                step /= 10;
                micros += i64::from(digit - b'0') * step;
                digits += 1;
            }
            cursor.at += 1;
        }
        // Numbers such as 1795258402.52 have lost the zeros at their end.
        step = 1;
    }
    let step = u64::try_from(step).ok()?;
    Some(Epoch {
        micros,
        step: std::time::Duration::from_micros(step),
    })
}

/// A header that names a client.
pub(super) fn set_header<'a>(headers: &mut Headers<'a>, header: Header, text: &'a str) {
    headers.set(header, Cow::Borrowed(text.as_bytes()));
}

/// The moments of a server whose time is of the end of a request.
pub(super) const END: Times = Times::End(Moment::RequestEnd);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_their_unit() {
        for (text, micros, step) in [
            ("1795977150.0999742", 1_795_977_150_099_974, 1),
            ("1795977150", 1_795_977_150_000_000, 1_000_000),
            ("1795977150.5", 1_795_977_150_500_000, 1),
            ("1795977150099.9742", 1_795_977_150_099_974, 1),
            ("1795977150099", 1_795_977_150_099_000, 1_000),
            ("1795977150099974231", 1_795_977_150_099_974, 1),
        ] {
            let epoch = epoch(&mut Cursor::new(text.as_bytes(), 0)).unwrap();
            assert_eq!(
                (epoch.micros, epoch.step.as_micros()),
                (micros, step),
                "{text}"
            );
        }
    }
}
