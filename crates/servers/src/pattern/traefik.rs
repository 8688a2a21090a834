//! Traefik's `common` access log, after its documentation: Apache's with three columns more. It has
//! no port.

use super::{
    Pattern, Traits,
    apache::{Directive, common, common_log, compile_as},
};
use crate::{FormatError, fields::End, pattern::Element};

/// Compiles it.
pub(crate) fn common_format() -> Result<Pattern, FormatError> {
    let text = r#"%h - %u %t "%r" %s %b "%f" "%f" %l "%f" "%f" %lms"#;
    compile_as(text, elements, Traits::HTTP)
}

/// The time is that of the start (`StartUTC`).
fn elements(directive: &Directive<'_>, at: usize) -> Result<Vec<Element>, FormatError> {
    match directive.letter {
        "t" => Ok(common_log(End::Start)),
        _ => common(directive, at),
    }
}
