//! Java's `SimpleDateFormat`, which Tomcat's `%{…}t` has, as a [`Strftime`].

use super::strftime::{Item, Strftime};

/// Compiles a pattern such as `yyyy-MM-dd HH:mm:ss.SSS Z`.
///
/// # Errors
/// What in it cannot be read back.
pub(crate) fn compile(pattern: &str) -> Result<Strftime, &'static str> {
    let bytes = pattern.as_bytes();
    let mut items = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let count = bytes
            .get(at..)
            .unwrap_or_default()
            .iter()
            .take_while(|other| **other == byte)
            .count();
        if byte == b'\'' {
            at = quoted(bytes, at, &mut items)?;
        } else if byte.is_ascii_alphabetic() {
            items.push(item(byte, count)?);
            at += count;
        } else {
            items.push(Item::Byte(byte));
            at += 1;
        }
    }
    Strftime::of(items)
}

/// Text in single quotes, of which two in a row are one.
fn quoted(bytes: &[u8], at: usize, items: &mut Vec<Item>) -> Result<usize, &'static str> {
    let mut at = at + 1;
    if bytes.get(at) == Some(&b'\'') {
        items.push(Item::Byte(b'\''));
        return Ok(at + 1);
    }
    loop {
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'\''), Some(b'\'')) => {
                items.push(Item::Byte(b'\''));
                at += 2;
            }
            (Some(b'\''), _) => return Ok(at + 1),
            (Some(byte), _) => {
                items.push(Item::Byte(*byte));
                at += 1;
            }
            (None, _) => return Err("it has a ' without its end"),
        }
    }
}

fn item(letter: u8, count: usize) -> Result<Item, &'static str> {
    Ok(match (letter, count) {
        (b'y', 2) => Item::YearOfCentury,
        (b'y', 4) => Item::Year,
        (b'M', 2) => Item::Month,
        (b'M', 3) => Item::MonthName,
        (b'M', 4..) => Item::MonthFullName,
        (b'd', 2) => Item::Day,
        (b'H', 2) => Item::Hour,
        // 1 to 12; `K` and `k` begin elsewhere.
        (b'h', 2) => Item::HalfDayHour,
        (b'a', _) => Item::HalfDay,
        (b'm', 2) => Item::Minute,
        (b's', 2) => Item::Second,
        (b'S', 3) => Item::Millis,
        (b'Z', 1..=3) | (b'X', 1..=3) => Item::Offset,
        (b'z', 1..=3) => Item::ZoneName,
        (b'E', 1..=3 | 4..) => Item::Letters,
        _ => return Err("it has letters that cannot be read back: fields of a fixed length are"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Options,
        time::{Pieces, parse::Cursor},
    };

    #[test]
    fn what_java_writes_is_read() {
        for (pattern, text, expected) in [
            (
                "yyyy-MM-dd HH:mm:ss.SSS Z",
                "2026-11-29 13:33:51.593 -0500",
                "2026-11-29T18:33:51.593Z 1ms",
            ),
            (
                "dd/MMM/yyyy:HH:mm:ss Z",
                "29/Nov/2026:13:33:51 -0500",
                "2026-11-29T18:33:51.000Z 1s",
            ),
            (
                "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
                "2026-11-29T18:33:51.007Z",
                "2026-11-29T18:33:51.007Z 1ms",
            ),
            ("EEE d''dd yy hh:mm:ss a z", "", "refused"),
        ] {
            let said = match compile(pattern) {
                Err(_) => "refused".to_owned(),
                Ok(strftime) => {
                    let mut pieces = Pieces::default();
                    let mut cursor = Cursor::new(text.as_bytes(), 0);
                    strftime.read(&mut cursor, &mut pieces).unwrap();
                    let instant = pieces.instant(&Options::new("x")).unwrap();
                    format!("{} {:?}", instant.at.unwrap(), instant.resolution)
                }
            };
            assert_eq!(said, expected, "{pattern}");
        }
    }

    #[test]
    fn half_days_and_open_quotes_are_refused() {
        for pattern in ["hh:mm", "'open", "SS", "K", "yyy"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
        assert!(compile("EEEE, dd MMMM yy hh:mm:ss a z ''''").is_ok());
    }
}
