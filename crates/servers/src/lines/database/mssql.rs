//! Microsoft SQL Server's error log, in UTF-16 or one byte a character: failed logins with the
//! client's address, never its port. From Microsoft's documentation; not run. A logon trigger's
//! table, which can have the port, is read as `csv`.

use std::borrow::Cow;

use portledger_model::{Moment, Transport};

use super::super::{
    Lines,
    entry::{Endpoint, Entry, NO_CLIENT},
};
use crate::{Options, Reason, address, fields::Fields, reader::Outcome, time::parse::Cursor};

/// Reads ERRORLOG.
#[derive(Debug)]
pub(in crate::lines) struct ErrorLog;

impl Lines for ErrorLog {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let text = narrow(line);
        let mut fields = Fields::over(Some(Transport::Tcp));
        let mut cursor = Cursor::new(&text, 0);
        if cursor.iso(&mut fields.end).is_none() || text.get(10) != Some(&b' ') {
            // What a message has behind a line's end.
            if text.starts_with(b"\t") {
                return NO_CLIENT;
            }
            let expected = "2026-11-21 10:53:22.12";
            return Err((0, Reason::Time { expected }));
        }
        let Some(message) = cursor.rest().strip_prefix(b" Logon ") else {
            // `spid12s`, `Server`, `Backup`: padded words.
            let word = cursor.rest().trim_ascii_start();
            if word.len() < cursor.rest().len() && memchr::memmem::find(word, b"  ").is_some() {
                return NO_CLIENT;
            }
            let expected = "a process behind the time";
            return Err((0, Reason::Value { expected }));
        };
        let entry = Entry {
            fields,
            message: message.trim_ascii(),
            line: &text,
            number,
            options,
        };
        // The server's own words end the line; a user's name stands before them.
        let client = || {
            let inside = entry.message.strip_suffix(b"]")?;
            let at = memchr::memmem::rfind(inside, b"[CLIENT: ")?;
            inside.get(at + 9..)
        };
        match client() {
            None | Some(b"<local machine>" | b"<named pipe>") => NO_CLIENT,
            Some(client) => match address::parse(client) {
                Some(address) => entry.seen(Endpoint::new(address, None), Moment::Logged),
                None => entry.no_endpoint("[CLIENT: address] at the end"),
            },
        }
    }
}

/// The line without the zeros of UTF-16, of which all that counts here is ASCII.
fn narrow(line: &[u8]) -> Cow<'_, [u8]> {
    let line = line.strip_prefix(b"\xff\xfe").unwrap_or(line);
    match memchr::memchr(0, line) {
        None => Cow::Borrowed(line),
        Some(_) => {
            let mut text: Vec<u8> = line.iter().copied().filter(|byte| *byte != 0).collect();
            if text.last() == Some(&b'\r') {
                text.pop();
            }
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::testing::{read_lines, show};
    use crate::{Format, Options, Reader};

    const FAILED: &str = "2026-11-21 10:53:22.12 Logon       Login failed for user 'x [CLIENT: 192.0.2.66]'. Reason: Password did not match that for the login provided. [CLIENT: 203.0.113.7]";

    #[test]
    fn the_client_ends_the_line() {
        insta::assert_snapshot!(read_lines(
            "mssql-errorlog",
            Some(TimeZone::UTC),
            &[
                FAILED,
                "2026-11-21 10:53:22.12 Logon       Error: 18456, Severity: 14, State: 8.",
                "2026-11-21 10:53:22.12 Logon       Login failed for user 'x'. [CLIENT: <local machine>]",
                "2026-11-21 10:53:22.12 spid12s     Starting up database 'x'.",
                "2026-11-21 10:53:22.123 UTC [7] LOG:  x",
            ]
        ));
    }

    #[test]
    fn sixteen_bits_a_character() {
        let wide: Vec<u8> = FAILED.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut reader = Reader::new(Format::named("mssql-errorlog").unwrap(), Options::new("x"));
        insta::assert_snapshot!(show(&reader.line(&wide, 1)));
    }
}
