//! Dates in abuse reports.

use crate::time::{Pieces, Written, parse::Cursor};

/// RFC 3339, RFC 5322 §3.3 (`Sat, 21 Nov 2026 10:53:22 +0100`), or what older reports have
/// (`Nov 21 2026 10:53:22 +0100`). The whole of the text must be it.
pub(super) fn read(text: &str) -> Option<Pieces> {
    let text = text.trim();
    // RFC 5322 lets comments follow: `+0000 (UTC)`.
    let text = text.split(" (").next().unwrap_or(text);
    let forms: [fn(&mut Cursor<'_>, &mut Pieces) -> Option<()>; 3] = [iso, mail, month_first];
    forms.into_iter().find_map(|form| {
        let mut pieces = Pieces::default();
        let mut cursor = Cursor::new(text.as_bytes(), 0);
        form(&mut cursor, &mut pieces)?;
        (cursor.at == text.len()).then_some(pieces)
    })
}

fn iso(cursor: &mut Cursor<'_>, pieces: &mut Pieces) -> Option<()> {
    cursor.iso(pieces)?;
    if pieces.zone.is_none() && cursor.byte(b' ').is_some() {
        zone(cursor, pieces)?;
    }
    Some(())
}

fn mail(cursor: &mut Cursor<'_>, pieces: &mut Pieces) -> Option<()> {
    if cursor.weekday_name().is_some() {
        cursor.byte(b',')?;
        cursor.byte(b' ')?;
    }
    pieces.day = cursor.padded_day()?;
    cursor.byte(b' ')?;
    pieces.month = cursor.month_name()?;
    cursor.byte(b' ')?;
    pieces.year = Some(cursor.year()?);
    cursor.byte(b' ')?;
    pieces.hour = cursor.two()?;
    cursor.byte(b':')?;
    pieces.minute = cursor.two()?;
    if cursor.byte(b':').is_some() {
        pieces.second = Some(cursor.two()?);
    }
    cursor.byte(b' ')?;
    zone(cursor, pieces)
}

fn month_first(cursor: &mut Cursor<'_>, pieces: &mut Pieces) -> Option<()> {
    pieces.month = cursor.month_name()?;
    cursor.byte(b' ')?;
    pieces.day = cursor.padded_day()?;
    cursor.byte(b' ')?;
    pieces.year = Some(cursor.year()?);
    cursor.byte(b' ')?;
    cursor.clock(pieces)?;
    if cursor.byte(b' ').is_some() {
        zone(cursor, pieces)?;
    }
    Some(())
}

/// An offset, or a name: RFC 5322 §4.3 says what the ten of old mail are, and that no other says
/// anything.
fn zone(cursor: &mut Cursor<'_>, pieces: &mut Pieces) -> Option<()> {
    if matches!(cursor.peek(), Some(b'+' | b'-')) {
        pieces.zone = Some(cursor.offset()?);
        return Some(());
    }
    let name = cursor.rest();
    name.iter().all(u8::is_ascii_alphabetic).then_some(())?;
    let hours = match name {
        b"" => return None,
        b"UT" | b"UTC" | b"GMT" | b"Z" => 0,
        b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" => -8,
        _ => {
            cursor.at += name.len();
            return Some(());
        }
    };
    pieces.zone = Some(match hours {
        0 => Written::Utc,
        hours => Written::Offset {
            seconds: hours * 3_600,
        },
    });
    cursor.at += name.len();
    Some(())
}

#[cfg(test)]
mod tests {
    use crate::Options;

    #[test]
    fn every_form_is_the_same_moment() {
        for text in [
            "2026-11-21T10:53:22+01:00",
            "2026-11-21 10:53:22 +0100",
            "2026-11-21T09:53:22Z",
            "Sat, 21 Nov 2026 04:53:22 EST",
            "21 Nov 2026 09:53:22 GMT (UTC)",
            "Nov 21 2026 10:53:22 +0100",
        ] {
            let instant = super::read(text)
                .unwrap()
                .instant(&Options::new("x"))
                .unwrap();
            assert_eq!(
                instant.at.unwrap().to_string(),
                "2026-11-21T09:53:22.000Z",
                "{text}"
            );
        }
        let unknown = super::read("Sat, 21 Nov 2026 10:53:22 CET").unwrap();
        assert_eq!(unknown.instant(&Options::new("x")).unwrap().at, None);
        for text in [
            "",
            "2026-11-21T10:53:22Z PM",
            "21/11/2026 10:53",
            "Sat, 21 Nov 26 10:53:22 GMT",
        ] {
            assert_eq!(super::read(text), None, "{text}");
        }
    }
}
