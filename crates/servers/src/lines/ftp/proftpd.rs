//! ProFTPD: its SystemLog (by syslog or its own file), which has the address alone, and
//! `proftpd:FORMAT`, an ExtendedLog by its LogFormat, which has the port by `%{remote-port}`.

use portledger_model::{Moment, Transport};

use super::super::{
    Lines,
    entry::{Endpoint, Entry, NO_CLIENT, split_at},
    programs::{Known, Program, Syslog},
    syslog::Header,
};
use crate::{
    FormatError, Options, Reason, address,
    fields::{End, Fields, Side},
    pattern::{Element, Escaping, Field, Pattern, TimeForm, Traits},
    reader::Outcome,
    time::{parse::Cursor, strftime::Strftime},
};

pub(in crate::lines) const KNOWN: Known = Known {
    name: "proftpd",
    is_of: |header| header.is_of(&[b"proftpd"]),
    start: || Box::new(ProFtpd),
};

#[derive(Debug)]
struct ProFtpd;

impl Program for ProFtpd {
    fn read(&mut self, _: &Header<'_>, entry: Entry<'_>) -> Outcome {
        message(entry)
    }
}

/// Reads the SystemLog, by whichever way it was written.
#[derive(Debug)]
pub(in crate::lines) struct SystemLog {
    syslog: Syslog,
}

impl SystemLog {
    pub(in crate::lines) fn new() -> Self {
        Self {
            syslog: Syslog::of(&[KNOWN]),
        }
    }
}

impl Lines for SystemLog {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        if line.get(4) != Some(&b'-') || line.get(10) != Some(&b' ') {
            return self.syslog.read(line, number, options);
        }
        let mut fields = Fields::over(Some(Transport::Tcp));
        let mut cursor = Cursor::new(line, 0);
        // `2026-11-21 10:53:22,123 host proftpd[123] …`.
        let message_text = || {
            cursor.iso(&mut fields.end)?;
            let (_, rest) = split_at(cursor.rest().strip_prefix(b" ")?, b' ')?;
            let (_, message) = split_at(rest.strip_prefix(b"proftpd[")?, b']')?;
            // The daemon's own lines have a colon there.
            message
                .strip_prefix(b" ")
                .or_else(|| message.strip_prefix(b": "))
        };
        let mut message_text = message_text;
        let Some(message_text) = message_text() else {
            let expected = "2026-11-21 10:53:22,123 host proftpd[123] ";
            return Err((0, Reason::Value { expected }));
        };
        message(Entry {
            fields,
            message: message_text,
            line,
            number,
            options,
        })
    }
}

/// `server (name[address]): words`, the name that of the address's reverse zone; or `- words`.
fn message(entry: Entry<'_>) -> Outcome {
    let client = || {
        let (server, rest) = split_at(entry.message, b' ')?;
        let rest = rest.strip_prefix(b"(")?;
        let (name, behind) = split_at(rest, b'[')?;
        name.iter()
            .all(|byte| !matches!(byte, b' ' | b'('))
            .then_some(())?;
        let (address, behind) = split_at(behind, b']')?;
        behind.starts_with(b")").then_some(())?;
        let mut endpoint = Endpoint::new(address::parse(address)?, None);
        endpoint.server.address = address::parse(server);
        Some(endpoint)
    };
    match client() {
        Some(endpoint) => entry.seen(endpoint, Moment::Logged),
        None => NO_CLIENT,
    }
}

/// Compiles the text of a LogFormat (mod_log).
pub(in crate::lines) fn compile(text: &str) -> Result<Pattern, FormatError> {
    let mut elements = Vec::new();
    let mut places = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = if let Some(directive) = rest.strip_prefix('%') {
            let (name, length) = name(directive, at)?;
            for element in field(name, at)? {
                elements.push(element);
                places.push(at);
            }
            length + 1
        } else {
            let literal = rest.split('%').next().unwrap_or(rest);
            // The configuration's escape of a quote.
            elements.push(Element::Literal(literal.replace("\\\"", "\"").into_bytes()));
            places.push(at);
            literal.len()
        };
        at += length;
    }
    let traits = Traits {
        // A command's quotes stand as they came.
        escaping: Escaping::None,
        end: Moment::Logged,
        transport: Some(Transport::Tcp),
    };
    Pattern::new(elements, &places, traits)
}

/// A directive's letter, or its name in braces, and how long it is.
fn name(directive: &str, at: usize) -> Result<(&str, usize), FormatError> {
    let unknown = |what: &str| FormatError::Unknown {
        what: what.to_owned(),
        place: at + 1,
    };
    if let Some(inside) = directive.strip_prefix('{') {
        let end = inside
            .find('}')
            .ok_or_else(|| unknown("a '{' without its '}'"))?;
        let name = inside.get(..end).unwrap_or_default();
        // `%{name}t` and `%{NAME}e` have a letter behind their argument.
        let behind = inside.get(end + 1..).unwrap_or_default();
        let letter = behind.starts_with(['t', 'e', 'T']) && !is_known(name);
        return Ok((
            if letter { "{}" } else { name },
            end + 2 + usize::from(letter),
        ));
    }
    let letter = directive.get(..1).ok_or_else(|| unknown("a lone '%'"))?;
    Ok((letter, 1))
}

fn is_known(name: &str) -> bool {
    [
        "remote-port",
        "iso8601",
        "microsecs",
        "millisecs",
        "epoch",
        "protocol",
        "version",
        "uid",
        "gid",
    ]
    .contains(&name)
}

fn field(name: &str, at: usize) -> Result<Vec<Element>, FormatError> {
    let field = match name {
        "%" => return Ok(vec![Element::Literal(b"%".to_vec())]),
        // `[21/Nov/2026:10:53:22 +0100]`.
        "t" => {
            return Ok(vec![
                Element::Literal(b"[".to_vec()),
                Element::Field(Field::Time(TimeForm::CommonLog, End::End)),
                Element::Literal(b"]".to_vec()),
            ]);
        }
        "iso8601" => {
            let compiled =
                Strftime::compile("%Y-%m-%d %H:%M:%S").map_err(|reason| FormatError::Strftime {
                    reason,
                    place: at + 1,
                })?;
            return Ok(vec![
                Element::Field(Field::Time(TimeForm::Strftime(compiled), End::End)),
                Element::Literal(b",".to_vec()),
                Element::Field(Field::Time(TimeForm::MillisOfSecond, End::End)),
            ]);
        }
        "epoch" => Field::Time(TimeForm::EpochSeconds, End::End),
        "millisecs" => Field::Time(TimeForm::MillisOfSecond, End::End),
        "microsecs" => Field::Time(TimeForm::MicrosOfSecond, End::End),
        "a" | "h" => Field::Address(Side::Remote),
        "remote-port" => Field::Port(Side::Remote),
        "L" => Field::ServerAddress,
        "p" => Field::ServerPort,
        "b" | "s" | "P" | "I" | "O" | "T" | "R" | "D" | "E" | "protocol" | "uid" | "gid" => {
            Field::Token
        }
        // Commands, their arguments, names and the server's answers to them.
        "r" | "m" | "J" | "f" | "F" | "d" | "u" | "U" | "A" | "l" | "S" | "g" | "v" | "V" | "w"
        | "X" | "x" | "c" | "H" | "version" | "{}" => Field::Text,
        other => {
            return Err(FormatError::Unknown {
                what: format!("%{{{other}}}"),
                place: at + 1,
            });
        }
    };
    Ok(vec![Element::Field(field)])
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::testing::read_lines;

    #[test]
    fn an_extended_log_by_its_format() {
        insta::assert_snapshot!(read_lines(
            r#"proftpd:%t %a:%{remote-port} "%r" %s"#,
            None,
            &[
                r#"[21/Nov/2026:10:53:22 +0100] 203.0.113.7:49152 "USER x (192.0.2.66:4242)" 331"#,
                r#"[21/Nov/2026:10:53:22 +0100] 2001:db8::7:2026 "USER" 500"#,
                r#"[21/Nov/2026:10:53:22 +0100] ::ffff:203.0.113.7:49152 "NOOP "x" 200" 331"#,
            ]
        ));
    }

    #[test]
    fn the_system_log_has_the_address_alone() {
        insta::assert_snapshot!(read_lines(
            "proftpd",
            Some(TimeZone::UTC),
            &[
                "2026-11-21 10:53:22,123 host proftpd[7] 192.0.2.21 (a.example.org[203.0.113.7]): FTP session opened.",
                "2026-11-21 10:53:22,123 host proftpd[7] 192.0.2.21 (::ffff:203.0.113.7[::ffff:203.0.113.7]): USER x (y[192.0.2.66]): no such user found",
                "2026-11-21 10:53:22,123 host proftpd[1]: ProFTPD 1.3.8 standalone mode STARTUP",
                "2026-11-21T10:53:22+00:00 host proftpd[7]: 192.0.2.21 (2001:db8::7[2001:db8::7]) - FTP session opened.",
                "2026-11-21 10:53:22.123 UTC [7] LOG:  x",
            ]
        ));
    }
}
