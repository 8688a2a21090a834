//! Patterns of Tomcat's `AccessLogValve`: Apache's directives with a few of its own.
//!
//! Of Tomcat 10.1 it was measured that `%t` is the end of the request unless `begin:` stands in it,
//! that `%A` is the address of the machine's own name and `%p` what the client's `Host` header says:
//! neither tells where the client connected to. Behind `RemoteIpValve` `%a` is what a header says
//! and `%{remote}p` still the port of whoever connected: in a line with `%{peer}a` that shows.

use super::{
    Element, Field, Pattern, TimeForm, Traits, Unit,
    apache::{Directive, common, common_log, compile_as, end_and_form},
};
use crate::{
    FormatError,
    fields::{End, Side},
    time::simple_date,
};

/// What `pattern="combined"` stands for.
pub(crate) const COMBINED: &str = r#"%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-Agent}i""#;
/// What `pattern="common"` stands for.
pub(crate) const COMMON: &str = r#"%h %l %u %t "%r" %s %b"#;

/// Compiles the text of a `pattern` attribute, or one of the names that stand for one.
pub(crate) fn compile(text: &str) -> Result<Pattern, FormatError> {
    let text = match text {
        "common" => COMMON,
        "combined" => COMBINED,
        text => text,
    };
    let meaning = if text.contains("%{peer}a") {
        elements_with_peer
    } else {
        elements
    };
    compile_as(text, meaning, Traits::HTTP)
}

/// The port is the peer's, and the client's where both have one address.
fn elements_with_peer(directive: &Directive<'_>, at: usize) -> Result<Vec<Element>, FormatError> {
    match (directive.letter, directive.argument) {
        ("p", Some("remote")) => Ok(vec![Element::Field(Field::Port(Side::Hop))]),
        _ => elements(directive, at),
    }
}

fn elements(directive: &Directive<'_>, at: usize) -> Result<Vec<Element>, FormatError> {
    let field = match (directive.letter, directive.argument) {
        ("t", argument) => return time(argument.unwrap_or_default(), at),
        // Behind RemoteIpValve `%a` is the client and this the proxy.
        ("a", Some("peer")) => Field::Address(Side::Hop),
        ("p", Some("remote")) => Field::Port(Side::Remote),
        ("A" | "p", _) => Field::Token,
        // Milliseconds up to Tomcat 9, microseconds since 10: the text does not say which.
        ("D", _) => Field::Token,
        ("T", None | Some("s" | "fracsec")) => Field::Duration(Unit::Seconds),
        ("T", Some("ms")) => Field::Duration(Unit::Millis),
        ("T", Some("us")) => Field::Duration(Unit::Micros),
        ("T" | "F", _) => Field::Token,
        ("S" | "L", _) => Field::Token,
        ("c" | "r" | "s", Some(_)) | ("I", _) => Field::Text,
        ("a", _) | ("h", None) => Field::Address(Side::Remote),
        ("h" | "f" | "O" | "R" | "V", _) => return Err(directive.unknown(at)),
        _ => return common(directive, at),
    };
    Ok(vec![Element::Field(field)])
}

/// `%t`, `%{sec}t`, `%{begin:msec}t` and forms of `SimpleDateFormat`.
fn time(argument: &str, at: usize) -> Result<Vec<Element>, FormatError> {
    let (end, form) = end_and_form(argument, End::End);
    let form = match form {
        "" => return Ok(common_log(end)),
        "sec" => TimeForm::EpochUnits(1_000_000),
        "msec" => TimeForm::EpochUnits(1_000),
        "msec_frac" => TimeForm::MillisOfSecond,
        pattern => TimeForm::Strftime(simple_date::compile(pattern).map_err(|reason| {
            FormatError::TimeText {
                reason,
                place: at + 1,
            }
        })?),
    };
    Ok(vec![Element::Field(Field::Time(form, end))])
}
