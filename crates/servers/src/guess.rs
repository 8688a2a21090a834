//! Which of the named formats lines are of.

use thiserror::Error;

use crate::{
    Format, Options, Reader, Reading, Reason,
    lines::{EVERY, MARKS, is_of_syslog},
    names,
};

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
    if let Some(guess) = abuse_report(&lines) {
        return Ok(guess);
    }
    let mut candidates: Vec<(Format, usize)> = names()
        .filter_map(|(name, _)| {
            let format = Format::named(name).ok()?;
            let fitting = fitting(&format, &lines)?;
            Some((format, fitting))
        })
        .collect();
    settle_syslog(&mut candidates);
    let mark = (candidates.len() > 1).then(|| only_mark(&lines)).flatten();
    if let Some((mark, _)) = mark {
        candidates.retain(|(format, _)| format.name().starts_with(mark.server()));
    }
    match candidates.as_slice() {
        [] => Err(GuessError::Nothing {
            known: listed(names().map(|(name, _)| name)),
        }),
        [(format, fitting)] => Ok(Guess {
            format: format.clone(),
            why: why(*fitting, lines.len(), mark),
        }),
        [(one, fitting), (other, _)] if are_twins(one, other) => Ok(Guess {
            format: Format::either(one, other),
            why: format!(
                "{}; they differ only in the moment that the time is of",
                why(*fitting, lines.len(), None)
            ),
        }),
        several => Err(GuessError::Tie {
            candidates: listed(several.iter().map(|(format, _)| format.name())),
        }),
    }
}

/// An abuse report is told by what only it has, since the lines looked at may not be all of it.
fn abuse_report(lines: &[&[u8]]) -> Option<Guess> {
    let begins = |line: &[u8], mark: &str| {
        line.get(..mark.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(mark.as_bytes()))
    };
    let has = |line: &[u8], text: &[u8]| memchr::memmem::find(line, text).is_some();
    let is_object = lines.first()?.starts_with(b"{");
    let marks = lines.iter().zip(1..).find_map(|(line, number)| {
        if begins(line, "Feedback-Type:")
            || (begins(line, "Content-Type:") && has(line, b"feedback-report"))
        {
            return Some(("arf", "a feedback report's own words", number));
        }
        let is_xarf = MARKS.iter().any(|mark| begins(line, mark))
            || (is_object && has(line, b"\"xarf_version\""));
        is_xarf.then_some(("xarf", "X-ARF's own words", number))
    });
    let (name, what, line) = marks?;
    Some(Guess {
        format: Format::named(name).ok()?,
        why: format!("line {line} has {what}"),
    })
}

/// A syslog file is its one program's where lines of only one tell of clients, and `syslog` where
/// those of several do.
fn settle_syslog(candidates: &mut Vec<(Format, usize)>) {
    let is_one = |format: &Format| is_of_syslog(format.name()) && format.name() != EVERY;
    let programs = candidates.iter().filter(|(format, _)| is_one(format));
    match programs.count() {
        0 => {}
        1 => candidates.retain(|(format, _)| format.name() != EVERY),
        _ => candidates.retain(|(format, _)| !is_one(format)),
    }
}

/// nginx and Apache write the same combined line, one when the request has ended, the other of
/// when it began. The client's port was in use at either moment.
fn are_twins(one: &Format, other: &Format) -> bool {
    matches!(
        (one.name().strip_prefix("nginx-"), other.name().strip_prefix("apache-")),
        (Some(one), Some(other)) if one == other
    )
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn why(fitting: usize, lines: usize, mark: Option<(Mark, usize)>) -> String {
    let count = format!("{fitting} of the first {lines} lines are of it");
    match mark {
        Some((mark, line)) => format!("{count}, and line {line} has {}", mark.text()),
        None => count,
    }
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
        Reason::NoAddress
            | Reason::UnixSocket
            | Reason::HostName
            | Reason::NoSuchTime
            | Reason::InGap
            | Reason::NoYear
    )
}

/// What only one of two servers writes, whose formats are otherwise alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    NginxEscape,
    NginxNoBody,
    ApacheEscape,
    ApacheNoBody,
}

impl Mark {
    const fn server(self) -> &'static str {
        match self {
            Self::NginxEscape | Self::NginxNoBody => "nginx",
            Self::ApacheEscape | Self::ApacheNoBody => "apache",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::NginxEscape => r"an escape that nginx writes (\x22, \x5C)",
            Self::NginxNoBody => "0 bytes for a 304, as nginx writes",
            Self::ApacheEscape => r#"an escape that Apache writes (\", \\, \xff)"#,
            Self::ApacheNoBody => "'-' or the header's bytes for a 304, as Apache writes",
        }
    }
}

/// The first mark of the one server of which there are any, and its line from 1.
fn only_mark(lines: &[&[u8]]) -> Option<(Mark, usize)> {
    let mut found: Option<(Mark, usize)> = None;
    for (line, number) in lines.iter().zip(1..) {
        for mark in [escape_mark(line), body_mark(line)].into_iter().flatten() {
            match found {
                None => found = Some((mark, number)),
                Some((first, _)) if first.server() != mark.server() => return None,
                Some(_) => {}
            }
        }
    }
    found
}

/// nginx writes every byte that needs it as `\x` and upper-case digits, quote and backslash
/// included; Apache writes those two behind a backslash and other bytes in lower case. A client
/// cannot forge either, since its own backslash is escaped.
fn escape_mark(line: &[u8]) -> Option<Mark> {
    let mut at = 0;
    while let Some(hit) = memchr::memchr(b'\\', line.get(at..)?) {
        at += hit;
        match line.get(at + 1..at + 4) {
            Some([b'x', high, low]) => {
                let digits = [*high, *low];
                if digits == *b"22" || digits.iter().any(u8::is_ascii_uppercase) {
                    return Some(Mark::NginxEscape);
                }
                if digits.iter().any(u8::is_ascii_lowercase) {
                    return Some(Mark::ApacheEscape);
                }
                at += 4;
            }
            Some(_) => return Some(Mark::ApacheEscape),
            None => return None,
        }
    }
    None
}

fn body_mark(line: &[u8]) -> Option<Mark> {
    const NOT_MODIFIED: &[u8] = b"\" 304 ";
    let at = memchr::memmem::find(line, NOT_MODIFIED)? + NOT_MODIFIED.len();
    match line.get(at..at + 2)? {
        b"0 " | b"0\n" => Some(Mark::NginxNoBody),
        _ => Some(Mark::ApacheNoBody),
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
