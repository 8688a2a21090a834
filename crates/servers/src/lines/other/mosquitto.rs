//! Mosquitto: `1795258402: New connection from address:port on port 1883.`

use portledger_model::{Moment, Transport};

use super::super::{
    Lines,
    entry::{Endpoint, Entry, NO_CLIENT, split_at},
};
use crate::{Options, Reason, address, fields::Fields, reader::Outcome, time::parse::Cursor};

/// Reads its log, with seconds since 1970 or `log_timestamp_format %Y-%m-%dT%H:%M:%S`.
#[derive(Debug)]
pub(in crate::lines) struct Log;

impl Lines for Log {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let mut fields = Fields::over(Some(Transport::Tcp));
        let mut cursor = Cursor::new(line, 0);
        let time = if line.get(4) == Some(&b'-') {
            cursor.iso(&mut fields.end)
        } else {
            cursor
                .epoch_seconds()
                .map(|epoch| fields.end.epoch = Some(epoch))
        };
        let Some(message) = time.and_then(|()| cursor.rest().strip_prefix(b": ")) else {
            let expected = "1795258402: or 2026-11-21T10:53:22: ";
            return Err((cursor.at.min(line.len()), Reason::Time { expected }));
        };
        let mut entry = Entry {
            fields,
            message,
            line,
            number,
            options,
        };
        if let Some(client) = message.strip_prefix(b"New connection from ") {
            entry.fields.destination.port = None;
            let (client, rest) = split_at(client, b' ').unwrap_or((client, b""));
            let Some(mut endpoint) = Endpoint::with_colon(client) else {
                return entry.no_endpoint("address:port behind 'New connection from'");
            };
            let port = rest
                .strip_prefix(b"on port ")
                .and_then(|rest| rest.strip_suffix(b"."));
            endpoint.server.port = port.and_then(address::port);
            return entry.seen(endpoint, Moment::Connect);
        }
        // The client's own id stands behind its endpoint.
        if let Some(client) = message.strip_prefix(b"New client connected from ") {
            let (client, _) = split_at(client, b' ').unwrap_or((client, b""));
            return match Endpoint::with_colon(client) {
                Some(endpoint) => entry.seen(endpoint, Moment::Logged),
                // Until 1.6 it wrote the address alone.
                None => match address::parse(client) {
                    Some(address) => entry.seen(Endpoint::new(address, None), Moment::Logged),
                    None => entry.no_endpoint("address:port behind 'New client connected from'"),
                },
            };
        }
        NO_CLIENT
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::testing::read_lines;

    #[test]
    fn the_last_colon_separates() {
        insta::assert_snapshot!(read_lines(
            "mosquitto",
            Some(TimeZone::UTC),
            &[
                "1795258402: New connection from 203.0.113.7:49152 on port 1883.",
                "2026-11-21T10:53:22: New client connected from 2001:db8::7:2026 as New client connected from 192.0.2.66:4242 (p2, c1, k60).",
                "1795258402: Client New connection from 192.0.2.66:4242 on port 1. disconnected.",
                "1795258402: New connection from x on port 1883.",
                "x",
            ]
        ));
    }
}
