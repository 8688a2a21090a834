//! Apache httpd's `LogFormat` strings (mod_log_config).

use super::{Element, Field, Pattern, TimeForm, Traits, Unit};
use crate::{
    FormatError,
    fields::{End, Side},
    time::strftime::Strftime,
};

/// What `TransferLog` and a `CustomLog` without a format write.
pub(crate) const COMMON: &str = r#"%h %l %u %t "%r" %>s %b"#;

/// Compiles the text of a `LogFormat`. `\"` is a quote, with or without the configuration's own
/// layer of escapes taken off.
pub(crate) fn compile(text: &str) -> Result<Pattern, FormatError> {
    let mut elements = Vec::new();
    let mut places = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = if rest.starts_with('%') {
            let directive = Directive::read(rest, at)?;
            for element in directive.elements(at)? {
                places.push(at);
                elements.push(element);
            }
            directive.length
        } else {
            let (literal, length) = literal(rest);
            places.push(at);
            elements.push(Element::Literal(literal));
            length
        };
        at += length;
    }
    Pattern::new(elements, &places, Traits::HTTP)
}

/// Text up to the next directive, its escapes taken off, and how long it was with them.
fn literal(text: &str) -> (Vec<u8>, usize) {
    let mut literal = Vec::new();
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'%' => return (literal, at),
            b'\\' => match bytes.next() {
                Some((_, b'n')) => literal.push(b'\n'),
                Some((_, b't')) => literal.push(b'\t'),
                Some((_, b'r')) => literal.push(b'\r'),
                Some((_, escaped @ (b'"' | b'\\'))) => literal.push(escaped),
                Some((at, b'%')) => {
                    literal.push(b'\\');
                    return (literal, at);
                }
                Some((_, other)) => literal.extend([b'\\', other]),
                None => literal.push(b'\\'),
            },
            _ => literal.push(byte),
        }
    }
    (literal, text.len())
}

/// `%>s`, `%{remote}p`, `%!200,304{User-agent}i`.
struct Directive<'a> {
    argument: Option<&'a str>,
    letter: &'a str,
    length: usize,
}

impl<'a> Directive<'a> {
    fn read(text: &'a str, at: usize) -> Result<Self, FormatError> {
        let unknown = |what: &str| FormatError::Unknown {
            what: what.to_owned(),
            place: at + 1,
        };
        let is_modifier = |c: char| c.is_ascii_digit() || matches!(c, '!' | ',' | '<' | '>');
        let mut rest = text
            .get(1..)
            .unwrap_or_default()
            .trim_start_matches(is_modifier);
        let mut argument = None;
        if let Some(inner) = rest.strip_prefix('{') {
            let end = inner
                .find('}')
                .ok_or_else(|| unknown("a '{' without its '}'"))?;
            argument = inner.get(..end);
            // Modifiers may stand on either side of the argument.
            rest = inner
                .get(end + 1..)
                .unwrap_or_default()
                .trim_start_matches(is_modifier);
        }
        // `%^FB`, `%^ti` and `%^to` have two letters after their mark.
        let letters = if rest.starts_with('^') { 3 } else { 1 };
        let letter = rest
            .get(..letters)
            .ok_or_else(|| unknown("a '%' without a directive's letter after it"))?;
        Ok(Self {
            argument,
            letter,
            length: text.len() - rest.len() + letter.len(),
        })
    }

    fn elements(&self, at: usize) -> Result<Vec<Element>, FormatError> {
        let field = match (self.letter, self.argument) {
            ("%", _) => return Ok(vec![Element::Literal(b"%".to_vec())]),
            ("t", argument) => return time(argument.unwrap_or_default(), at),
            ("a" | "h", Some("c")) => Field::Address(Side::Hop),
            ("a" | "h", _) => Field::Address(Side::Remote),
            ("p", Some("remote")) => Field::Port(Side::Remote),
            ("p", _) => Field::ServerPort,
            ("A", _) => Field::ServerAddress,
            ("D", _) | ("T", Some("us")) => Field::Duration(Unit::Micros),
            ("T", Some("ms")) => Field::Duration(Unit::Millis),
            ("T", _) => Field::Duration(Unit::Seconds),
            ("b" | "B" | "s" | "k" | "l" | "L" | "P" | "I" | "O" | "S" | "X", _) => Field::Token,
            (
                "C" | "e" | "f" | "H" | "i" | "m" | "n" | "o" | "q" | "r" | "R" | "u" | "U" | "v"
                | "V" | "x" | "c" | "^FB" | "^ti" | "^to",
                _,
            ) => Field::Text,
            (other, _) => {
                return Err(FormatError::Unknown {
                    what: format!("the directive %{other}"),
                    place: at + 1,
                });
            }
        };
        Ok(vec![Element::Field(field)])
    }
}

/// `%t`, `%{sec}t`, `%{begin:…}t`, `%{end:…}t`, `%{strftime}t`.
fn time(argument: &str, at: usize) -> Result<Vec<Element>, FormatError> {
    let (end, form) = match argument.strip_prefix("end:") {
        Some(form) => (End::End, form),
        None => (
            End::Start,
            argument.strip_prefix("begin:").unwrap_or(argument),
        ),
    };
    let form = match form {
        "" => {
            return Ok(vec![
                Element::Literal(b"[".to_vec()),
                Element::Field(Field::Time(TimeForm::CommonLog, end)),
                Element::Literal(b"]".to_vec()),
            ]);
        }
        "sec" => TimeForm::EpochUnits(1_000_000),
        "msec" => TimeForm::EpochUnits(1_000),
        "usec" => TimeForm::EpochUnits(1),
        "msec_frac" => TimeForm::MillisOfSecond,
        "usec_frac" => TimeForm::MicrosOfSecond,
        strftime => TimeForm::Strftime(Strftime::compile(strftime).map_err(|reason| {
            FormatError::Strftime {
                reason,
                place: at + 1,
            }
        })?),
    };
    Ok(vec![Element::Field(Field::Time(form, end))])
}
