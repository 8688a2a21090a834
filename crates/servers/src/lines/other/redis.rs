//! Redis at loglevel verbose: `123:M 21 Nov 2026 10:53:22.123 - Accepted address:port`.

use portledger_model::{Moment, Transport};

use super::super::{
    Lines,
    entry::{Endpoint, Entry, NO_CLIENT},
};
use crate::{
    Options, Reason,
    fields::Fields,
    reader::Outcome,
    time::{Pieces, parse::Cursor},
};

/// Reads its log.
#[derive(Debug)]
pub(in crate::lines) struct Log;

impl Lines for Log {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let mut fields = Fields::over(Some(Transport::Tcp));
        let mut cursor = Cursor::new(line, 0);
        let process = cursor.number().and_then(|_| cursor.byte(b':'));
        // `123:signal-handler (1795258402) …`.
        if process.is_some() && cursor.rest().starts_with(b"signal-handler ") {
            return NO_CLIENT;
        }
        let time = process
            .and_then(|()| cursor.one_of(b"MSCX"))
            .and_then(|_| cursor.byte(b' '))
            .and_then(|()| day_first(&mut cursor, &mut fields.end));
        let Some(message) = time.and_then(|()| cursor.rest().get(3..)) else {
            let expected = "123:M 21 Nov 2026 10:53:22.123 ";
            return Err((cursor.at.min(line.len()), Reason::Time { expected }));
        };
        let entry = Entry {
            fields,
            message,
            line,
            number,
            options,
        };
        match message.strip_prefix(b"Accepted ").map(Endpoint::with_colon) {
            Some(Some(endpoint)) => entry.seen(endpoint, Moment::Connect),
            // Through a UNIX domain socket.
            Some(None) if message.starts_with(b"Accepted connection to /") => NO_CLIENT,
            Some(None) => entry.no_endpoint("address:port behind 'Accepted'"),
            None => NO_CLIENT,
        }
    }
}

/// `21 Nov 2026 10:53:22.123`.
fn day_first(cursor: &mut Cursor<'_>, pieces: &mut Pieces) -> Option<()> {
    pieces.day = cursor.two()?;
    cursor.byte(b' ')?;
    pieces.month = cursor.month_name()?;
    cursor.byte(b' ')?;
    pieces.year = Some(cursor.year()?);
    cursor.byte(b' ')?;
    cursor.clock(pieces)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::testing::read_lines;

    #[test]
    fn the_last_colon_separates() {
        insta::assert_snapshot!(read_lines(
            "redis",
            Some(TimeZone::UTC),
            &[
                "7:M 21 Nov 2026 10:53:22.123 - Accepted 203.0.113.7:49152",
                "7:M 21 Nov 2026 10:53:22.123 - Accepted 2001:db8::7:2026",
                "7:M 21 Nov 2026 10:53:22.123 * Ready to accept connections",
                "7:M 21 Nov 2026 10:53:22.123 - Accepted x",
                "7:signal-handler (1795977462) Received SIGTERM scheduling shutdown...",
                "x",
            ]
        ));
    }
}
