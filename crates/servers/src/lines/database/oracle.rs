//! Oracle's listener log, as text and as the alert log's XML. From public samples and the
//! documentation; not run.
//!
//! `time * (CONNECT_DATA=…) * (ADDRESS=(PROTOCOL=tcp)(HOST=…)(PORT=…)) * establish * service * 0`:
//! the client makes up CONNECT_DATA, its HOST included; the ADDRESS outside it is the listener's.

use portledger_model::{Moment, Transport};

use super::super::{
    Lines,
    entry::{Endpoint, Entry, NO_CLIENT, TwoEndpoints, after, first, split_at, the_only},
};
use crate::{
    Options, Reason, address,
    fields::Fields,
    reader::Outcome,
    time::{Pieces, parse::Cursor},
};

/// Reads the log, and remembers the last line that had a time with its offset.
#[derive(Debug, Default)]
pub(in crate::lines) struct ListenerLog {
    zoned: Option<Pieces>,
}

impl Lines for ListenerLog {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let text = line.trim_ascii();
        if let Some(time) = zoned(text) {
            self.zoned = Some(time);
            return NO_CLIENT;
        }
        let text = text.strip_prefix(b"<txt>").unwrap_or(text);
        let mut fields = Fields::over(Some(Transport::Tcp));
        let mut cursor = Cursor::new(text, 0);
        if day_first(&mut cursor, &mut fields.end).is_none() {
            // The log's other lines: its banners, XML's tags, errors.
            let is_other = !text.first().is_some_and(u8::is_ascii_digit);
            let expected = "21-NOV-2026 10:53:22";
            return if is_other && is_of_listener(text) {
                NO_CLIENT
            } else {
                Err((0, Reason::Time { expected }))
            };
        }
        if let Some(zoned) = self.zoned.filter(|zoned| is_near(zoned, &fields.end)) {
            fields.end.zone = zoned.zone;
        }
        let entry = Entry {
            fields,
            message: cursor.rest(),
            line,
            number,
            options,
        };
        if !entry.message.starts_with(b" * ") {
            return entry.no_endpoint(" * behind the time");
        }
        match the_only(establishments(entry.message)) {
            Ok(Some(endpoint)) => entry.seen(endpoint, Moment::Connect),
            Ok(None) => NO_CLIENT,
            Err(TwoEndpoints) => entry.ambiguous(),
        }
    }
}

fn is_of_listener(text: &[u8]) -> bool {
    let begins: &[&[u8]] = &[
        b"<",
        b"TNS",
        b"TNSLSNR",
        b"LSNRCTL",
        b"System ",
        b"Log ",
        b"Trace ",
        b"Started ",
        b"Listening ",
        b"Listener ",
        b"Copyright",
        b"TIMESTAMP",
        b"WARNING",
        b"Error ",
        b"Dynamic ",
        b"Linux Error",
        b"IBM/AIX",
        b"type=",
        b"host_",
        b"msg_id=",
        b"version=",
        b"org_id=",
        b"comp_id=",
        b"client_id=",
        b"pid=",
        b"No longer",
    ];
    begins.iter().any(|words| text.starts_with(words))
}

/// `2026-11-21T10:53:22.123456+01:00` alone, or `<msg time='2026-11-21T10:53:22.123+01:00' …`.
fn zoned(text: &[u8]) -> Option<Pieces> {
    let (text, is_whole) = match text.strip_prefix(b"<msg time='") {
        Some(rest) => (split_at(rest, b'\'')?.0, true),
        None => (text, false),
    };
    let mut pieces = Pieces::default();
    let mut cursor = Cursor::new(text, 0);
    cursor.iso(&mut pieces)?;
    let ends = cursor.at == text.len();
    (pieces.zone.is_some() && (ends || is_whole)).then_some(pieces)
}

/// `21-NOV-2026 10:53:22`.
fn day_first(cursor: &mut Cursor<'_>, pieces: &mut Pieces) -> Option<()> {
    pieces.day = cursor.two()?;
    cursor.byte(b'-')?;
    pieces.month = month(cursor)?;
    cursor.byte(b'-')?;
    pieces.year = Some(cursor.year()?);
    cursor.byte(b' ')?;
    cursor.clock(pieces)
}

/// `NOV`, in whichever case.
fn month(cursor: &mut Cursor<'_>) -> Option<i8> {
    let name = cursor.rest().first_chunk::<3>()?;
    let mut name = name.map(|byte| byte.to_ascii_lowercase());
    name[0] = name[0].to_ascii_uppercase();
    let month = Cursor::new(&name, 0).month_name()?;
    cursor.at += 3;
    Some(month)
}

/// Whether both are of the same minute or so, by the clock on the wall.
fn is_near(zoned: &Pieces, told: &Pieces) -> bool {
    let seconds = |pieces: &Pieces| {
        i32::from(pieces.hour) * 3_600
            + i32::from(pieces.minute) * 60
            + i32::from(pieces.second.unwrap_or(0))
    };
    (zoned.year, zoned.month, zoned.day) == (told.year, told.month, told.day)
        && (seconds(zoned) - seconds(told)).abs() <= 60
}

const ADDRESS: &[u8] = b" * (ADDRESS=(PROTOCOL=tcp";
const ESTABLISH: &[u8] = b" * establish * ";

/// Every address at whose end the connection was established: one, unless the client wrote one
/// into its CONNECT_DATA.
fn establishments(message: &[u8]) -> impl Iterator<Item = Option<Endpoint>> {
    memchr::memmem::find_iter(message, ADDRESS).map(move |at| {
        let rest = message.get(at + ADDRESS.len()..)?;
        // `tcps` is TCP with TLS.
        let rest = rest.strip_prefix(b"s").unwrap_or(rest);
        let end = memchr::memmem::find(first(rest, 256), ESTABLISH)?;
        let inside = rest.get(..end)?.strip_prefix(b")")?.strip_suffix(b")")?;
        let value = |name: &[u8]| Some(split_at(after(inside, name)?, b')')?.0);
        let address = address::parse(value(b"(HOST=")?)?;
        Some(Endpoint::new(
            address,
            Some(address::port(value(b"(PORT=")?)?),
        ))
    })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::testing::read_lines;

    const CLIENT: &str = "(CONNECT_DATA=(SID=x)(CID=(PROGRAM=sqlplus)(HOST=192.0.2.66)(USER=u)))";

    fn established(data: &str, address: &str) -> String {
        format!(
            "21-NOV-2026 10:53:22 * {data} * (ADDRESS=(PROTOCOL=tcp){address}) * establish * x * 0"
        )
    }

    #[test]
    fn what_the_client_says_it_is_is_not_its_address() {
        let forged = "(CONNECT_DATA=(SID=x * (ADDRESS=(PROTOCOL=tcp)(HOST=192.0.2.66)(PORT=4242)) * establish * y))";
        let lines = [
            established(CLIENT, "(HOST=203.0.113.7)(PORT=49152)"),
            established(CLIENT, "(HOST=2001:db8::7)(PORT=2026)"),
            established(forged, "(HOST=203.0.113.7)(PORT=49152)"),
            "21-NOV-2026 10:53:22 * service_update * x * 0".to_owned(),
            "2026-11-21T10:53:22.123456+01:00".to_owned(),
            established(CLIENT, "(HOST=203.0.113.7)(PORT=49152)"),
            "<msg time='2026-11-21T11:53:22.123-05:00' org_id='oracle' comp_id='tnslsnr'"
                .to_owned(),
            " type='UNKNOWN' level='16' host_id='db'".to_owned(),
            format!(
                " <txt>{}",
                established(CLIENT, "(HOST=203.0.113.7)(PORT=49152)")
            ),
            " </txt>".to_owned(),
            "TNS-12514: TNS:listener does not currently know of service".to_owned(),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        insta::assert_snapshot!(read_lines("oracle-listener", Some(TimeZone::UTC), &lines));
    }
}
