//! varnishncsa's format strings: Apache's directives, and `%{…}x` for what Varnish alone knows.

use super::{
    Element, Field, Pattern, TimeForm, Traits, Unit,
    apache::{Directive, common, compile_as, time},
};
use crate::{
    FormatError,
    fields::{End, Side},
};

/// What varnishncsa writes by default.
pub(crate) const COMBINED: &str = r#"%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-agent}i""#;

/// Compiles the text of `varnishncsa -F`.
pub(crate) fn compile(text: &str) -> Result<Pattern, FormatError> {
    compile_as(text, elements, Traits::HTTP)
}

fn elements(directive: &Directive<'_>, at: usize) -> Result<Vec<Element>, FormatError> {
    let field = match (directive.letter, directive.argument) {
        ("t", argument) => return time(argument.unwrap_or_default(), End::Start, at),
        ("D", _) | ("T", Some("us")) => Field::Duration(Unit::Micros),
        ("T", Some("ms")) => Field::Duration(Unit::Millis),
        ("h", None) => Field::Address(Side::Remote),
        ("x", Some(what)) => return Ok(of_varnish(what)),
        ("I" | "O", None) => Field::Token,
        ("a" | "h" | "A" | "p" | "c" | "f" | "R" | "v" | "V" | "X" | "I" | "O" | "B", _) => {
            return Err(directive.unknown(at));
        }
        _ => return common(directive, at),
    };
    Ok(vec![Element::Field(field)])
}

/// `%{VSL:ReqStart[2]}x`: a field of a record of Varnish's shared log, counted from 1.
fn of_varnish(what: &str) -> Vec<Element> {
    let field = match what {
        "VSL:ReqStart[1]" => Field::Address(Side::Remote),
        "VSL:ReqStart[2]" => Field::Port(Side::Remote),
        // The address, the port and the name of the listener.
        "VSL:ReqStart" => {
            let space = || Element::Literal(b" ".to_vec());
            return vec![
                Element::Field(Field::Address(Side::Remote)),
                space(),
                Element::Field(Field::Port(Side::Remote)),
                space(),
                Element::Field(Field::Token),
            ];
        }
        "VSL:Timestamp:Start[1]" => Field::Time(TimeForm::EpochSeconds, End::Start),
        "VSL:Timestamp:Resp[1]" => Field::Time(TimeForm::EpochSeconds, End::End),
        "VSL:Timestamp:Resp[2]" => Field::Duration(Unit::Seconds),
        "Varnish:time_firstbyte"
        | "Varnish:hitmiss"
        | "Varnish:handling"
        | "Varnish:side"
        | "Varnish:vxid"
        | "Varnish:default_format" => Field::Token,
        _ => Field::Text,
    };
    vec![Element::Field(field)]
}
