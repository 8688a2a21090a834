//! Apache httpd's `LogFormat` strings (mod_log_config), and what the servers have in common that
//! took them over.

use super::{Element, Field, Pattern, TimeForm, Traits, Unit};
use crate::{
    FormatError, Header,
    fields::{End, Side},
    time::strftime::Strftime,
};

/// What `TransferLog` and a `CustomLog` without a format write.
pub(crate) const COMMON: &str = r#"%h %l %u %t "%r" %>s %b"#;

/// Compiles the text of a `LogFormat`. `\"` is a quote, with or without the configuration's own
/// layer of escapes taken off.
pub(crate) fn compile(text: &str) -> Result<Pattern, FormatError> {
    compile_as(text, elements, Traits::HTTP)
}

/// What a server makes of a directive that stands at this byte.
pub(super) type Meaning = fn(&Directive<'_>, usize) -> Result<Vec<Element>, FormatError>;

/// Compiles a text of Apache's syntax with a server's own directives.
pub(super) fn compile_as(
    text: &str,
    meaning: Meaning,
    traits: Traits,
) -> Result<Pattern, FormatError> {
    let mut elements = Vec::new();
    let mut places = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = if rest.starts_with('%') {
            let directive = Directive::read(rest, at)?;
            for element in meaning(&directive, at)? {
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
    Pattern::new(elements, &places, traits)
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
pub(super) struct Directive<'a> {
    pub(super) argument: Option<&'a str>,
    pub(super) letter: &'a str,
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

    /// An error about a directive that the server does not have.
    pub(super) fn unknown(&self, at: usize) -> FormatError {
        FormatError::Unknown {
            what: format!("the directive %{}", self.letter),
            place: at + 1,
        }
    }
}

fn elements(directive: &Directive<'_>, at: usize) -> Result<Vec<Element>, FormatError> {
    let field = match (directive.letter, directive.argument) {
        ("t", argument) => return time(argument.unwrap_or_default(), End::Start, at),
        ("D", _) | ("T", Some("us")) => Field::Duration(Unit::Micros),
        ("T", Some("ms")) => Field::Duration(Unit::Millis),
        ("C" | "e" | "n" | "x" | "^FB" | "^ti" | "^to", _) => Field::Text,
        ("k" | "L" | "P" | "S", _) => Field::Token,
        _ => return common(directive, at),
    };
    Ok(vec![Element::Field(field)])
}

/// The directives that mean the same in every server that has them.
pub(super) fn common(directive: &Directive<'_>, at: usize) -> Result<Vec<Element>, FormatError> {
    let field = match (directive.letter, directive.argument) {
        ("%", _) => return Ok(vec![Element::Literal(b"%".to_vec())]),
        ("a" | "h", Some("c")) => Field::Address(Side::Hop),
        ("a" | "h", _) => Field::Address(Side::Remote),
        ("p", Some("remote")) => Field::Port(Side::Remote),
        ("p", _) => Field::ServerPort,
        ("A", _) => Field::ServerAddress,
        ("T", _) => Field::Duration(Unit::Seconds),
        ("i", Some(name)) => Header::named(name).map_or(Field::Text, Field::Header),
        ("b" | "B" | "s" | "l" | "I" | "O" | "X", _) => Field::Token,
        ("c" | "f" | "H" | "i" | "m" | "o" | "q" | "r" | "R" | "u" | "U" | "v" | "V", _) => {
            Field::Text
        }
        _ => return Err(directive.unknown(at)),
    };
    Ok(vec![Element::Field(field)])
}

/// `%t`, `%{sec}t`, `%{begin:…}t`, `%{end:…}t`, `%{strftime}t`, of `usual` where neither end is
/// named.
pub(super) fn time(argument: &str, usual: End, at: usize) -> Result<Vec<Element>, FormatError> {
    let (end, form) = end_and_form(argument, usual);
    let form = match form {
        "" => return Ok(common_log(end)),
        "sec" => TimeForm::EpochUnits(1_000_000),
        "msec" => TimeForm::EpochUnits(1_000),
        "usec" => TimeForm::EpochUnits(1),
        "msec_frac" => TimeForm::MillisOfSecond,
        "usec_frac" => TimeForm::MicrosOfSecond,
        strftime => TimeForm::Strftime(Strftime::compile(strftime).map_err(|reason| {
            FormatError::TimeText {
                reason,
                place: at + 1,
            }
        })?),
    };
    Ok(vec![Element::Field(Field::Time(form, end))])
}

/// `begin:` and `end:`, and what follows them.
pub(super) fn end_and_form(argument: &str, usual: End) -> (End, &str) {
    match argument.strip_prefix("end") {
        Some("") => return (End::End, ""),
        Some(form) if form.starts_with(':') => return (End::End, form.trim_start_matches(':')),
        _ => {}
    }
    match argument.strip_prefix("begin") {
        Some("") => (End::Start, ""),
        Some(form) if form.starts_with(':') => (End::Start, form.trim_start_matches(':')),
        _ => (usual, argument),
    }
}

/// `[21/Nov/2026:10:53:22 +0100]`.
pub(super) fn common_log(end: End) -> Vec<Element> {
    vec![
        Element::Literal(b"[".to_vec()),
        Element::Field(Field::Time(TimeForm::CommonLog, end)),
        Element::Literal(b"]".to_vec()),
    ]
}
