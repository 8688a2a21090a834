//! What stands before a program's own words in a syslog line, in each form that files have.

use crate::{
    Reason,
    fields::Fault,
    time::{Epoch, Pieces, parse::Cursor},
};

/// Who wrote a line, and what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header<'a> {
    /// The machine it was written on.
    pub(crate) host: &'a [u8],
    /// The program's name, without its folders: `postfix/smtpd` is that of Postfix's smtpd.
    pub(crate) program: &'a [u8],
    /// The process, where it is told: lines of one session have the same.
    pub(crate) process: Option<&'a [u8]>,
    /// The program's own words.
    pub(crate) message: &'a [u8],
}

impl Header<'_> {
    /// Whether one of these programs wrote it, from whatever folder it was started.
    pub(super) fn is_of(&self, programs: &[&[u8]]) -> bool {
        let name = self.program.rsplit(|byte| *byte == b'/').next();
        programs.iter().any(|program| {
            *program == self.program || (!program.contains(&b'/') && Some(*program) == name)
        })
    }
}

/// Reads the header, and the time into `pieces`: RFC 5424, RFC 3164, or what rsyslog and journald
/// write in between. `None` where a line has no header at all, as from a program that writes its
/// own file.
pub(crate) fn header<'a>(line: &'a [u8], pieces: &mut Pieces) -> Result<Option<Header<'a>>, Fault> {
    let mut cursor = Cursor::new(line, priority(line));
    match cursor.peek() {
        // RFC 5424 §6: `1 ` is the version.
        Some(byte) if byte.is_ascii_digit() => {
            let structured = cursor.rest().starts_with(b"1 ");
            if structured {
                cursor.at += 2;
            }
            if time(&mut cursor, pieces).is_none() {
                let expected = "2026-11-21T10:53:22+01:00 or Nov 21 10:53:22";
                return Err((cursor.at.min(line.len()), Reason::Time { expected }));
            }
            if structured {
                return Ok(Some(structured_message(cursor.rest())));
            }
        }
        _ => {
            let mut read = *pieces;
            if cursor.traditional(&mut read).is_none() {
                return Ok(None);
            }
            *pieces = read;
        }
    }
    Ok(Some(named_message(cursor.rest())))
}

/// The length of a `<38>` in front (RFC 5424 §6.2.1).
fn priority(line: &[u8]) -> usize {
    let mut cursor = Cursor::new(line, 0);
    let read = cursor
        .byte(b'<')
        .and_then(|()| cursor.number())
        .and_then(|_| cursor.byte(b'>'));
    read.map_or(0, |()| cursor.at)
}

fn time(cursor: &mut Cursor<'_>, pieces: &mut Pieces) -> Option<()> {
    if cursor.bytes.get(cursor.at + 4) == Some(&b'-') {
        cursor.iso(pieces)
    } else {
        let epoch: Epoch = cursor.epoch()?;
        pieces.epoch = Some(epoch);
        Some(())
    }
}

/// Of a line that names no program.
const NOBODY: Header<'static> = Header {
    host: b"",
    program: b"",
    process: None,
    message: b"",
};

/// ` host sshd[123]: message`, or ` haproxy[123]: message`: a program that speaks to the socket
/// itself names no host (RFC 3164 §4.1.2 has one), and what wrote the file may add none.
fn named_message(rest: &[u8]) -> Header<'_> {
    let read = || {
        let rest = rest.strip_prefix(b" ")?;
        let space = memchr::memchr(b' ', rest)?;
        let first = rest.get(..space)?;
        let (host, rest) = match is_tag(first) {
            true => (&b""[..], rest),
            false => (first, rest.get(space + 1..)?),
        };
        // A tag has no colon but the one that ends it, nearly always.
        let mut colons = memchr::memchr_iter(b':', rest);
        let end = colons.find(|colon| rest.get(colon + 1) == Some(&b' '))?;
        let tag = rest.get(..end)?;
        let mut parts = tag.splitn(2, |byte| *byte == b'[');
        Some(Header {
            host,
            program: parts.next()?,
            process: parts.next().and_then(|text| text.strip_suffix(b"]")),
            message: rest.get(end + 2..)?,
        })
    };
    read().unwrap_or(NOBODY)
}

/// `sshd[123]:` and `sshd:`; a host that is an IPv6 address has more colons than the last.
fn is_tag(word: &[u8]) -> bool {
    let tag = word.strip_suffix(b":").unwrap_or_default();
    !tag.is_empty() && !tag.contains(&b':')
}

/// ` host sshd 123 - - message` (RFC 5424 §6).
fn structured_message(rest: &[u8]) -> Header<'_> {
    let read = || {
        let mut parts = rest.strip_prefix(b" ")?.splitn(5, |byte| *byte == b' ');
        let host = parts.next()?;
        let program = parts.next()?;
        let process = parts.next().filter(|process| *process != b"-");
        let message = behind_structured_data(parts.nth(1)?)?;
        // RFC 5424 §6.4: UTF-8 may say so.
        let message = message.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(message);
        Some(Header {
            host,
            program,
            process,
            message,
        })
    };
    read().unwrap_or(NOBODY)
}

/// RFC 5424 §6.3: `-`, or elements in brackets, whose values have `]` behind a backslash only.
fn behind_structured_data(rest: &[u8]) -> Option<&[u8]> {
    if let Some(message) = rest.strip_prefix(b"- ") {
        return Some(message);
    }
    let mut at = 0;
    while rest.get(at) == Some(&b'[') {
        loop {
            let hit = at + memchr::memchr2(b']', b'\\', rest.get(at..)?)?;
            if rest.get(hit) == Some(&b']') {
                at = hit + 1;
                break;
            }
            at = hit + 2;
        }
    }
    rest.get(at..)?.strip_prefix(b" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_may_be_without_host() {
        for (line, host, program, process, message) in [
            (
                "<134>Nov 21 10:53:22 haproxy[123]: 203.0.113.7:49152 x",
                "",
                "haproxy",
                Some("123"),
                "203.0.113.7:49152 x",
            ),
            ("Nov 21 10:53:22 sshd: a: b", "", "sshd", None, "a: b"),
            (
                "Nov 21 10:53:22 www sshd: a: b",
                "www",
                "sshd",
                None,
                "a: b",
            ),
            (
                "2026-11-21T10:53:22Z 2001:db8:: sshd[7]: x",
                "2001:db8::",
                "sshd",
                Some("7"),
                "x",
            ),
        ] {
            let read = header(line.as_bytes(), &mut Pieces::default());
            let read = read.unwrap().unwrap();
            assert_eq!(read.host, host.as_bytes(), "{line}");
            assert_eq!(read.program, program.as_bytes(), "{line}");
            assert_eq!(read.process, process.map(str::as_bytes), "{line}");
            assert_eq!(read.message, message.as_bytes(), "{line}");
        }
    }
}
