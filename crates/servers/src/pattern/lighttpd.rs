//! lighttpd's `accesslog.format` strings: Apache's directives, of which not all mean the same.
//!
//! Of lighttpd 1.4.69 it was measured that times are of the end of the request, and that those in
//! whole seconds are of a clock that may be almost a second behind: the true instant is up to two
//! seconds later. Milliseconds are rounded up.

use std::time::Duration;

use super::{
    Element, Field, Pattern, TimeForm, Traits, Unit,
    apache::{Directive, common, compile_as, time},
};
use crate::{FormatError, fields::End};

/// What lighttpd writes by default: the virtual host is where others have the identity.
pub(crate) const COMBINED: &str = r#"%h %V %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;

/// Compiles the text of an `accesslog.format`.
pub(crate) fn compile(text: &str) -> Result<Pattern, FormatError> {
    let traits = Traits {
        clock: Duration::from_secs(2),
        ..Traits::HTTP
    };
    compile_as(text, elements, traits)
}

fn elements(directive: &Directive<'_>, at: usize) -> Result<Vec<Element>, FormatError> {
    let field = match (directive.letter, directive.argument) {
        ("t", argument) => {
            let times = time(argument.unwrap_or_default(), End::End, at)?;
            return Ok(times.into_iter().map(rounded_up).collect());
        }
        ("D", _) | ("T", Some("us")) => Field::Duration(Unit::Micros),
        ("T", Some("ms")) => Field::Duration(Unit::Millis),
        ("C" | "e" | "n", _) => Field::Text,
        ("k", _) => Field::Token,
        ("c" | "R" | "S" | "L" | "P", _) => return Err(directive.unknown(at)),
        _ => return common(directive, at),
    };
    Ok(vec![Element::Field(field)])
}

/// Milliseconds are those at or after the instant.
fn rounded_up(element: Element) -> Element {
    match element {
        Element::Field(Field::Time(TimeForm::EpochUnits(1_000), end)) => {
            Element::Field(Field::Time(TimeForm::MillisRoundedUp, end))
        }
        element => element,
    }
}
