//! Which of the named formats lines are of.

use thiserror::Error;

use crate::{Format, Options, Reader, Reading, Reason, names};

/// A format that lines are of, and how that is known.
#[derive(Debug, Clone)]
pub struct Guess {
    /// The format.
    pub format: Format,
    /// Why: to be said to whoever asked.
    pub why: String,
}

/// Why no format could be guessed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GuessError {
    /// There are no lines, or only blank ones.
    #[error("nothing to guess a format from: the log is empty so far")]
    Empty,
    /// No named format fits.
    #[error(
        "the lines are of no format that is known; give one of {known} with --format, or the server's own format string as nginx:FORMAT or apache:FORMAT, or its configuration with --config"
    )]
    Nothing {
        /// The named formats.
        known: String,
    },
    /// Several fit, and it matters which it is.
    #[error("the lines may be of {candidates}; say which with --format")]
    Tie {
        /// The formats that fit.
        candidates: String,
    },
}

/// How many lines are looked at.
const LINES: usize = 50;

/// Guesses the format of a log from its first lines, of which the first 50 that are not blank
/// count. Nine of ten must be of the format.
///
/// # Errors
/// When none of the named formats fits, or several do.
pub fn guess(lines: &[&[u8]]) -> Result<Guess, GuessError> {
    let is_blank = |line: &[u8]| line.iter().all(u8::is_ascii_whitespace);
    let lines: Vec<&[u8]> = lines
        .iter()
        .copied()
        .filter(|line| !is_blank(line))
        .take(LINES)
        .collect();
    if lines.is_empty() {
        return Err(GuessError::Empty);
    }
    let mut candidates: Vec<(Format, usize)> = names()
        .filter_map(|(name, _)| {
            let format = Format::named(name).ok()?;
            let fitting = fitting(&format, &lines)?;
            Some((format, fitting))
        })
        .collect();
    let marks = if candidates.len() > 1 {
        marks(&lines)
    } else {
        Vec::new()
    };
    candidates.retain(|(format, _)| {
        let server = server(format);
        marks.iter().all(|(mark, _)| mark.fits(server))
    });
    match candidates.as_slice() {
        [] => Err(GuessError::Nothing {
            known: listed(names().map(|(name, _)| name)),
        }),
        [(format, fitting)] => Ok(Guess {
            format: format.clone(),
            why: why(*fitting, lines.len(), &marks),
        }),
        [(first, fitting), others @ ..]
            if others.iter().all(|(other, _)| are_twins(first, other)) =>
        {
            let others: Vec<Format> = others.iter().map(|(other, _)| other.clone()).collect();
            let format = Format::any_of(first, &others);
            let mut why = why(*fitting, lines.len(), &marks);
            if format.moment_unknown {
                why += "; they differ only in the moment that the time is of";
            }
            Ok(Guess { format, why })
        }
        several => Err(GuessError::Tie {
            candidates: listed(several.iter().map(|(format, _)| format.name())),
        }),
    }
}

/// nginx, Apache, Tomcat, lighttpd and Varnish write the same combined line, some when the request
/// has ended, the others of when it began. The client's port was in use at either moment.
fn are_twins(one: &Format, other: &Format) -> bool {
    let form = |format: &Format| {
        let (server, form) = format.name().split_once('-')?;
        ALIKE.contains(&server).then(|| form.to_owned())
    };
    form(one).is_some() && form(one) == form(other)
}

const ALIKE: &[&str] = &["nginx", "apache", "tomcat", "lighttpd", "varnish"];

fn server(format: &Format) -> &str {
    format.name().split('-').next().unwrap_or_default()
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn why(fitting: usize, lines: usize, marks: &[(Mark, usize)]) -> String {
    let mut why = format!("{fitting} of the first {lines} lines are of it");
    for (mark, line) in marks {
        why += &match mark {
            Mark::NoHost => format!(", and {}", mark.text()),
            _ => format!(", and line {line} has {}", mark.text()),
        };
    }
    why
}

/// How many of the lines are of the format, where they are enough.
fn fitting(format: &Format, lines: &[&[u8]]) -> Option<usize> {
    let mut reader = Reader::new(format.clone(), Options::new(""));
    let (mut sightings, mut fitting) = (0, 0);
    for (line, number) in lines.iter().zip(1..) {
        let fits = match reader.line(line, number) {
            Reading::Sighting(_) => {
                sightings += 1;
                true
            }
            Reading::Skipped(_) => true,
            Reading::Rejected(rejection) => is_of_format(&rejection.reason),
        };
        fitting += usize::from(fits);
    }
    (sightings > 0 && fitting * 10 >= lines.len() * 9).then_some(fitting)
}

/// Whether a line that was rejected for this had the form all the same.
const fn is_of_format(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::Ambiguous
            | Reason::NoAddress
            | Reason::UnixSocket
            | Reason::HostName
            | Reason::NoSuchTime
            | Reason::InGap
            | Reason::NoYear
    )
}

/// What only some of the servers write, whose formats are otherwise alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// `\x22`, `\x5C`.
    CodedQuote,
    /// `\"`, `\\`.
    EscapedQuote,
    /// `\xC3`.
    UpperCode,
    /// `\xc3`.
    LowerCode,
    /// `\u00c3`.
    LongCode,
    /// 0 bytes for a 304.
    NoBytes,
    /// Anything else for it.
    Bytes,
    /// `-` in every line where lighttpd has the virtual host.
    NoHost,
}

impl Mark {
    /// Whether it is of one of the servers that write alike, or of another.
    fn fits(self, server: &str) -> bool {
        if !ALIKE.contains(&server) {
            return true;
        }
        match self {
            Self::CodedQuote | Self::NoBytes => server == "nginx",
            Self::EscapedQuote | Self::Bytes => server != "nginx",
            Self::UpperCode => matches!(server, "nginx" | "lighttpd"),
            Self::LowerCode => matches!(server, "apache" | "varnish"),
            Self::LongCode => server == "tomcat",
            Self::NoHost => server != "lighttpd",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::CodedQuote => r"an escape that nginx writes (\x22, \x5C)",
            Self::EscapedQuote => r#"an escape that nginx does not write (\", \\)"#,
            Self::UpperCode => r"an escape that only nginx and lighttpd write (\xC3)",
            Self::LowerCode => r"an escape that only Apache and Varnish write (\xc3)",
            Self::LongCode => r"an escape that only Tomcat writes (\u00c3)",
            Self::NoBytes => "0 bytes for a 304, as nginx writes",
            Self::Bytes => "'-' or the header's bytes for a 304, which nginx does not write",
            Self::NoHost => "none has a virtual host second, as lighttpd writes",
        }
    }
}

/// The marks of the lines, each with the first line, from 1, that has it; none where no server
/// writes them all.
fn marks(lines: &[&[u8]]) -> Vec<(Mark, usize)> {
    let mut marks: Vec<(Mark, usize)> = Vec::new();
    for (line, number) in lines.iter().zip(1..) {
        for mark in escape_marks(line).into_iter().chain(body_mark(line)) {
            if marks.iter().all(|(known, _)| *known != mark) {
                marks.push((mark, number));
            }
        }
    }
    if lines.iter().all(|line| has_no_host(line)) {
        marks.push((Mark::NoHost, 1));
    }
    let is_possible = |server: &&&str| marks.iter().all(|(mark, _)| mark.fits(server));
    if ALIKE.iter().find(is_possible).is_none() {
        marks.clear();
    }
    marks
}

/// Whether the second column, which lighttpd has for the virtual host, is a dash.
fn has_no_host(line: &[u8]) -> bool {
    line.split(|byte| *byte == b' ').nth(1) == Some(b"-")
}

/// nginx writes every byte that needs it as `\x` and upper-case digits, quote and backslash
/// included. The others write those two behind a backslash, and other bytes each in a way of its
/// own. A client cannot forge any, since its own backslash is escaped.
fn escape_marks(line: &[u8]) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut at = 0;
    while let Some(hit) = line.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += hit;
        let mark = match line.get(at + 1..at + 4) {
            Some([b'x', b'2', b'2'] | [b'x', b'5', b'C']) => Some(Mark::CodedQuote),
            Some([b'x', digits @ ..]) => match digits {
                _ if digits.iter().any(u8::is_ascii_uppercase) => Some(Mark::UpperCode),
                _ if digits.iter().any(u8::is_ascii_lowercase) => Some(Mark::LowerCode),
                _ => None,
            },
            Some([b'u', ..]) => Some(Mark::LongCode),
            Some([b'"' | b'\\', ..]) => Some(Mark::EscapedQuote),
            _ => None,
        };
        marks.extend(mark);
        at += 2;
    }
    marks
}

fn body_mark(line: &[u8]) -> Option<Mark> {
    const NOT_MODIFIED: &[u8] = b"\" 304 ";
    let at = memchr::memmem::find(line, NOT_MODIFIED)? + NOT_MODIFIED.len();
    match line.get(at..at + 2)? {
        b"0 " | b"0\n" => Some(Mark::NoBytes),
        _ => Some(Mark::Bytes),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn guessed(log: &[u8]) -> String {
        let lines: Vec<&[u8]> = log.split_inclusive(|byte| *byte == b'\n').collect();
        match guess(&lines) {
            Ok(guess) => format!("{}: {}", guess.format, guess.why),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_real_servers_wrote_is_recognised() {
        let logs: [&[u8]; 7] = [
            include_bytes!("../tests/fixtures/nginx-combined-port.log"),
            include_bytes!("../tests/fixtures/apache-combined-port.log"),
            include_bytes!("../tests/fixtures/apache-vhost-combined-port.log"),
            include_bytes!("../tests/fixtures/apache-remoteip.log"),
            include_bytes!("../tests/fixtures/apache-error.log"),
            include_bytes!("../tests/fixtures/sshd.log"),
            include_bytes!("../tests/fixtures/nginx-json.log"),
        ];
        insta::assert_snapshot!(logs.map(guessed).join("\n"));
    }

    #[test]
    fn other_logs() {
        let logs: [&str; 7] = [
            "",
            "\n\n",
            "1795258402123 203.0.113.7 49152 192.0.2.80 443 4f2a\n",
            "time,ip,port\n2026-11-21T10:53:22Z,203.0.113.7,49152\n",
            "203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] \"GET / HTTP/1.1\" 304 0 \"-\" \"x\" 49152\n",
            "203.0.113.7 - - [21/Nov/2026:10:53:22 +0000] \"GET / HTTP/1.1\" 304 - \"-\" \"x\" 49152\n",
            "Nov 21 10:53:22 host cron[1]: x\nNov 21 10:53:22 host sshd[1]: Connection closed by 203.0.113.7 port 49152\n",
        ];
        insta::assert_snapshot!(logs.map(|log| guessed(log.as_bytes())).join("\n"));
    }

    proptest! {
        #[test]
        fn nothing_panics(lines: Vec<Vec<u8>>) {
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            let _ = guess(&lines);
        }
    }
}
