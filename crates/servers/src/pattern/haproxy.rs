//! HAProxy's `log-format` strings.
//!
//! `%tr` and its like are of the first byte of a request, `%t`, `%T`, `%Ts` of the accept, or on a
//! connection that is kept alive of when it became idle. HAProxy writes its own variables without a
//! quote in them (`#22`), but what stands in `%[…]` as the client sent it: this was measured of
//! HAProxy 2.6.

use portledger_model::Moment;

use super::{Element, Escaping, Field, Pattern, TimeForm, Traits, Unit};
use crate::{
    FormatError, Header,
    fields::{End, Side},
};

/// How `option httplog` and `option httpslog` begin.
pub(crate) const HTTP: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST ";
/// How `option tcplog` begins.
pub(crate) const TCP: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt ";
/// How a line about a connection that failed early begins.
pub(crate) const ERROR: &str = "%ci:%cp [%t] ";
/// How `option httplog clf` begins.
pub(crate) const CLF: &str = r#"%ci - - [%trg] %{+Q}r %ST %B "" "" %cp "#;

/// Compiles the text of a `log-format`.
pub(crate) fn compile(text: &str) -> Result<Pattern, FormatError> {
    let (elements, places) = elements(text)?;
    Pattern::new(elements, &places, traits(text))
}

/// A line that begins as one of HAProxy's own formats, where the start is of this moment.
pub(crate) fn built_in(text: &str, start: Moment) -> Result<Pattern, FormatError> {
    let (mut elements, mut places) = elements(text)?;
    elements.push(Element::Field(Field::Text));
    places.push(text.len());
    Pattern::new(
        elements,
        &places,
        Traits {
            start,
            ..traits(text)
        },
    )
}

fn traits(text: &str) -> Traits {
    Traits {
        escaping: if text.contains("%[") || text.contains("}[") {
            Escaping::None
        } else {
            Escaping::NoQuotes
        },
        start: if of_request(text) {
            Moment::RequestStart
        } else {
            Moment::Logged
        },
        ..Traits::HTTP
    }
}

/// Whether the format has a time of the request.
fn of_request(text: &str) -> bool {
    text.contains("%tr") || text.contains("}tr")
}

type Elements = (Vec<Element>, Vec<usize>);

fn elements(text: &str) -> Result<Elements, FormatError> {
    let of_request = of_request(text);
    let (mut elements, mut places) = (Vec::new(), Vec::new());
    // Where the captured headers stand.
    let mut captured = Vec::new();
    let mut at = 0;
    let mut always_quoted = false;
    // HAProxy writes several spaces as one, and none in front.
    let mut after_space = true;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (made, length) = if rest.starts_with('%') {
            let variable = Variable::read(rest, at)?;
            if variable.name == "o" {
                always_quoted = variable.quoted.unwrap_or(always_quoted);
            }
            let made = variable.elements(of_request, at)?;
            let quote = || Element::Literal(b"\"".to_vec());
            let made = if variable.quoted.unwrap_or(always_quoted) && variable.has_text() {
                [vec![quote()], made, vec![quote()]].concat()
            } else {
                made
            };
            after_space &= made.is_empty();
            if variable.is_captured() && made.len() == 1 {
                captured.push(elements.len());
            }
            (made, variable.length)
        } else {
            // `\ ` and `\"` are of the configuration's own syntax.
            let escape = usize::from(rest.starts_with('\\'));
            let literal = rest.get(escape..).and_then(|rest| rest.chars().next());
            let literal = literal.unwrap_or('\\');
            let is_lost = literal == ' ' && after_space;
            after_space = literal == ' ';
            let made = if is_lost {
                Vec::new()
            } else {
                vec![Element::Literal(literal.to_string().into_bytes())]
            };
            (made, (escape + literal.len_utf8()).min(rest.len()))
        };
        places.extend(made.iter().map(|_| at));
        elements.extend(made);
        at += length;
    }
    without_captures(&mut elements, &mut places, &captured);
    Ok((elements, places))
}

/// Where a frontend captures no header, `%hr` and `%hs` write nothing, and the spaces around them
/// become one: such a row is one text, empty or with its last space. Only where it ends in front of
/// something fixed, since else nothing tells where it ends.
fn without_captures(elements: &mut Vec<Element>, places: &mut Vec<usize>, captured: &[usize]) {
    let is_space =
        |element: Option<&Element>| matches!(element, Some(Element::Literal(text)) if text == b" ");
    let mut rest = captured;
    let mut rows = Vec::new();
    while let Some((&first, others)) = rest.split_first() {
        let mut last = first;
        rest = others;
        while let Some((&next, others)) = rest.split_first()
            && next == last + 2
            && is_space(elements.get(last + 1))
        {
            (last, rest) = (next, others);
        }
        let is_fixed =
            matches!(elements.get(last + 2), Some(Element::Literal(text)) if text != b" ");
        let is_between = first > 0 && is_space(elements.get(first - 1));
        if is_between && is_fixed && is_space(elements.get(last + 1)) {
            rows.push(first + 1..last + 2);
        }
    }
    // The last first, so that those before keep their places.
    for row in rows.into_iter().rev() {
        elements.drain(row.clone());
        places.drain(row);
    }
}

/// `%ci`, `%{+Q}r`, `%[capture.req.hdr(0)]`.
struct Variable<'a> {
    quoted: Option<bool>,
    name: &'a str,
    expression: Option<&'a str>,
    length: usize,
}

impl<'a> Variable<'a> {
    fn read(text: &'a str, at: usize) -> Result<Self, FormatError> {
        let unknown = |what: &str| FormatError::Unknown {
            what: what.to_owned(),
            place: at + 1,
        };
        let mut rest = text.get(1..).unwrap_or_default();
        let mut quoted = None;
        if let Some(inner) = rest.strip_prefix('{') {
            let end = inner
                .find('}')
                .ok_or_else(|| unknown("a '{' without its '}'"))?;
            for flag in inner.get(..end).unwrap_or_default().split(',') {
                match flag.trim() {
                    "+Q" => quoted = Some(true),
                    "-Q" => quoted = Some(false),
                    "+X" => return Err(unknown("a value in hexadecimal digits (+X)")),
                    _ => {}
                }
            }
            rest = inner.get(end + 1..).unwrap_or_default();
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let end = expression_end(inner).ok_or_else(|| unknown("a '[' without its ']'"))?;
            return Ok(Self {
                quoted,
                name: "",
                expression: inner.get(..end),
                length: text.len() - inner.len() + end + 1,
            });
        }
        let is_name = |c: char| c.is_ascii_alphabetic();
        let length = match rest.strip_prefix('%') {
            Some(_) => 1,
            None => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
        };
        let name = rest.get(..length).unwrap_or_default();
        if name.is_empty() {
            return Err(unknown("a '%' without a variable after it"));
        }
        Ok(Self {
            quoted,
            name,
            expression: None,
            length: text.len() - rest.len() + length,
        })
    }

    /// Whether it writes the headers that a frontend captures, if it captures any.
    fn is_captured(&self) -> bool {
        matches!(self.name, "hr" | "hs" | "hrl" | "hsl")
    }

    /// Whether quotes are put around it where they are asked for: not around numbers and times.
    fn has_text(&self) -> bool {
        let texts = [
            "", "b", "bi", "ci", "f", "fi", "ft", "H", "HM", "HP", "HPO", "HQ", "HU", "HV", "ID",
            "hr", "hrl", "hs", "hsl", "r", "s", "si", "sslc", "sslv",
        ];
        texts.contains(&self.name)
    }

    fn elements(&self, of_request: bool, at: usize) -> Result<Vec<Element>, FormatError> {
        let accept = |form| match of_request {
            true => Field::Token,
            false => Field::Time(form, End::Start),
        };
        let request = |form| Field::Time(form, End::Start);
        let field = match self.name {
            "" => return Ok(vec![Element::Field(self.of_expression())]),
            "%" => return Ok(vec![Element::Literal(b"%".to_vec())]),
            // Flags for all that follows.
            "o" => return Ok(Vec::new()),
            "ci" => Field::Address(Side::Remote),
            "cp" => Field::Port(Side::Remote),
            "fi" => Field::ServerAddress,
            "fp" => Field::ServerPort,
            "t" => accept(TimeForm::LocalCommonLog),
            "T" | "Tl" if of_request => Field::Text,
            "T" | "Tl" => accept(TimeForm::CommonLog),
            "Ts" => accept(TimeForm::EpochUnits(1_000_000)),
            "ms" => accept(TimeForm::MillisOfSecond),
            "tr" => request(TimeForm::LocalCommonLog),
            "trg" | "trl" => request(TimeForm::CommonLog),
            // From the request's first byte to the response's last, and from the accept to the end.
            "Ta" if of_request => Field::Duration(Unit::Millis),
            "Tt" if !of_request => Field::Duration(Unit::Millis),
            "b" | "bi" | "bp" | "f" | "ft" | "s" | "si" | "sp" | "B" | "U" | "CC" | "CS" | "ST"
            | "TR" | "Ta" | "Tc" | "Td" | "Th" | "Ti" | "Tq" | "Tr" | "Tt" | "Tw" | "Tu" | "ac"
            | "bc" | "bq" | "fc" | "lc" | "pid" | "rc" | "rt" | "sc" | "sq" | "sslc" | "sslv"
            | "ts" | "tsc" | "HM" | "HV" => Field::Token,
            "H" | "HP" | "HPO" | "HQ" | "HU" | "ID" | "hr" | "hrl" | "hs" | "hsl" | "r" => {
                Field::Text
            }
            other => {
                return Err(FormatError::Unknown {
                    what: format!("the variable %{other}"),
                    place: at + 1,
                });
            }
        };
        Ok(vec![Element::Field(field)])
    }

    /// A sample expression: `src`, `req.fhdr(x-forwarded-for)`. With a converter it is text.
    fn of_expression(&self) -> Field {
        let expression = self.expression.unwrap_or_default();
        match expression {
            "src" => return Field::Address(Side::Remote),
            "src_port" => return Field::Port(Side::Remote),
            "fc_src" => return Field::Address(Side::Hop),
            "fc_src_port" => return Field::Port(Side::Hop),
            "dst" => return Field::ServerAddress,
            "dst_port" => return Field::ServerPort,
            _ => {}
        }
        ["req.fhdr(", "req.hdr(", "hdr("]
            .iter()
            .find_map(|fetch| expression.strip_prefix(fetch)?.strip_suffix(')'))
            .and_then(Header::named)
            .map_or(Field::Text, Field::Header)
    }
}

/// The bracket that ends an expression; brackets in its arguments come in pairs.
fn expression_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' if depth == 0 => return Some(at),
            b']' => depth -= 1,
            _ => {}
        }
    }
    None
}
