//! Envoy's access log format strings, after its documentation.
//!
//! Envoy writes what a client sent without escaping it. Its times are in UTC and of the start of
//! the request; with `%DURATION%` the end is known. Where Envoy took the client from a header,
//! `%DOWNSTREAM_REMOTE_ADDRESS%` has port 0.

use portledger_model::Moment;

use super::{Element, Escaping, Field, Pattern, TimeForm, Traits, Unit};
use crate::{
    FormatError, Header,
    fields::{End, Side},
    time::strftime::Strftime,
};

/// Envoy's default format. It has no address of who connected.
#[cfg(test)]
pub(super) const DEFAULT: &str = r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%""#;
/// Istio's default format, which has.
pub(crate) const ISTIO: &str = r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%"#;

/// Compiles a format string, with or without the end-of-line at its end.
pub(crate) fn compile(text: &str) -> Result<Pattern, FormatError> {
    let text = text.strip_suffix("\\n").unwrap_or(text);
    let text = text.strip_suffix('\n').unwrap_or(text);
    let (mut elements, mut places) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        places.push(at);
        if let Some(after) = rest.strip_prefix("%%") {
            elements.push(Element::Literal(b"%".to_vec()));
            at = text.len() - after.len();
        } else if let Some(after) = rest.strip_prefix('%') {
            let (operator, length) = Operator::read(after, at)?;
            elements.push(Element::Field(operator.field(at)?));
            at += 1 + length;
        } else {
            let length = rest.find('%').unwrap_or(rest.len());
            let literal = rest.get(..length).unwrap_or_default();
            elements.push(Element::Literal(literal.as_bytes().to_vec()));
            at += length;
        }
    }
    // A format without anything of a request may be of TCP: then the start is the connection's.
    let is_http = ["%REQ(", "%RESP(", "%RESPONSE_CODE%"]
        .iter()
        .any(|operator| text.contains(operator));
    let traits = Traits {
        escaping: Escaping::None,
        utc: true,
        start: if is_http {
            Moment::RequestStart
        } else {
            Moment::Logged
        },
        ..Traits::HTTP
    };
    Pattern::new(elements, &places, traits)
}

/// `NAME`, `NAME(argument)` or `NAME(argument):length`, and the `%` after it.
struct Operator<'a> {
    name: &'a str,
    argument: Option<&'a str>,
}

impl<'a> Operator<'a> {
    fn read(text: &'a str, at: usize) -> Result<(Self, usize), FormatError> {
        let unknown = |what: String| FormatError::Unknown {
            what,
            place: at + 1,
        };
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let length = text.find(|c| !is_name(c)).unwrap_or(text.len());
        let name = text.get(..length).unwrap_or_default();
        let mut rest = text.get(length..).unwrap_or_default();
        let mut argument = None;
        if let Some(inner) = rest.strip_prefix('(') {
            let end = inner
                .find(')')
                .ok_or_else(|| unknown("a '(' without its ')'".to_owned()))?;
            argument = inner.get(..end);
            rest = inner.get(end + 1..).unwrap_or_default();
        }
        if let Some(length) = rest.strip_prefix(':') {
            rest = length.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        let rest = rest
            .strip_prefix('%')
            .filter(|_| !name.is_empty())
            .ok_or_else(|| unknown("a '%' that begins no operator".to_owned()))?;
        Ok((Self { name, argument }, text.len() - rest.len()))
    }

    fn field(&self, at: usize) -> Result<Field, FormatError> {
        Ok(match self.name {
            "START_TIME_LOCAL" => {
                return Err(FormatError::Unknown {
                    what: "a time in a zone that is not written (%START_TIME_LOCAL%)".to_owned(),
                    place: at + 1,
                });
            }
            "START_TIME" => Field::Time(self.form(at)?, End::Start),
            "DURATION" => Field::Duration(Unit::Millis),
            "DOWNSTREAM_REMOTE_ADDRESS" => Field::Endpoint(Side::Remote),
            "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Field::Address(Side::Remote),
            "DOWNSTREAM_REMOTE_PORT" => Field::Port(Side::Remote),
            "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => Field::Endpoint(Side::Hop),
            "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => Field::Address(Side::Hop),
            "DOWNSTREAM_DIRECT_REMOTE_PORT" => Field::Port(Side::Hop),
            "DOWNSTREAM_LOCAL_ADDRESS" | "DOWNSTREAM_DIRECT_LOCAL_ADDRESS" => Field::ServerEndpoint,
            "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => Field::ServerAddress,
            "DOWNSTREAM_LOCAL_PORT" => Field::ServerPort,
            // Of the protocol's own making, without spaces in it.
            "REQ" if self.argument == Some(":METHOD") => Field::Token,
            "REQ" => self
                .argument
                .filter(|name| !name.contains('?'))
                .and_then(Header::named)
                .map_or(Field::Text, Field::Header),
            "RESPONSE_CODE"
            | "RESPONSE_FLAGS"
            | "BYTES_RECEIVED"
            | "BYTES_SENT"
            | "RESPONSE_DURATION"
            | "REQUEST_DURATION"
            | "CONNECTION_ID"
            | "UPSTREAM_HOST"
            | "RESP"
            | "RESPONSE_CODE_DETAILS"
            | "CONNECTION_TERMINATION_DETAILS"
            | "ROUTE_NAME"
            | "UPSTREAM_CLUSTER"
            | "UPSTREAM_CLUSTER_RAW"
            | "REQUESTED_SERVER_NAME"
            | "UPSTREAM_LOCAL_ADDRESS"
            | "UPSTREAM_REMOTE_ADDRESS"
            | "PROTOCOL" => Field::Token,
            _ => Field::Text,
        })
    }

    fn form(&self, at: usize) -> Result<TimeForm, FormatError> {
        match self.argument {
            None | Some("") => Ok(TimeForm::Iso),
            Some(text) => Strftime::compile_with_fractions(text)
                .map(TimeForm::Strftime)
                .map_err(|reason| FormatError::TimeText {
                    reason,
                    place: at + 1,
                }),
        }
    }
}
