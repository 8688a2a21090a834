//! nginx's `log_format` strings.

use portledger_model::{Moment, Transport};

use super::{Element, Escaping, Field, Pattern, TimeForm, Traits, Unit};
use crate::{
    FormatError, Header,
    fields::{End, Side},
};

/// The format that every nginx knows.
pub(crate) const COMBINED: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;

/// Which of nginx's modules a format is of: they have variables of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Module {
    Http,
    Stream,
}

/// Compiles the text of a `log_format`, as nginx sees it (without the configuration's quotes), with
/// `escape=default`, `escape=json` or `escape=none` in front where it has one.
pub(crate) fn compile(text: &str, module: Module) -> Result<Pattern, FormatError> {
    let (escaping, start) = escaping(text)?;
    let mut elements = Vec::new();
    let mut places = Vec::new();
    let mut at = start;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        places.push(at);
        let length = if rest.starts_with('$') {
            let (name, length) = variable(rest, at)?;
            elements.push(Element::Field(field(name)));
            length
        } else {
            let length = rest.find('$').unwrap_or(rest.len());
            let literal = rest.get(..length).unwrap_or_default();
            elements.push(Element::Literal(literal.as_bytes().to_vec()));
            length
        };
        at += length;
    }
    let traits = Traits {
        escaping,
        end: match module {
            Module::Http => Moment::RequestEnd,
            // A stream's line is written when the session ends; there is no request in it.
            Module::Stream => Moment::Logged,
        },
        transport: match module {
            Module::Http => Some(Transport::Tcp),
            Module::Stream => None,
        },
        ..Traits::HTTP
    };
    Pattern::new(elements, &places, traits)
}

fn escaping(text: &str) -> Result<(Escaping, usize), FormatError> {
    let Some(rest) = text.strip_prefix("escape=") else {
        return Ok((Escaping::Backslash, 0));
    };
    let length = rest.find([' ', '\t']).unwrap_or(rest.len());
    let escaping = match rest.get(..length) {
        Some("default" | "json") => Escaping::Backslash,
        Some("none") => Escaping::None,
        other => {
            return Err(FormatError::Unknown {
                what: format!("escape={}", other.unwrap_or_default()),
                place: 1,
            });
        }
    };
    let space = rest.get(length..).unwrap_or_default();
    let space = space.len() - space.trim_start().len();
    Ok((escaping, "escape=".len() + length + space))
}

/// `$name` or `${name}`: the name, and how long it is with its marks.
fn variable(text: &str, at: usize) -> Result<(&str, usize), FormatError> {
    let after = text.get(1..).unwrap_or_default();
    let (name, marks) = match after.strip_prefix('{') {
        Some(inner) => match inner.find('}') {
            Some(end) => (inner.get(..end).unwrap_or_default(), 3),
            None => ("", 0),
        },
        None => {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
            (after.get(..end).unwrap_or_default(), 1)
        }
    };
    if name.is_empty() {
        return Err(FormatError::Unknown {
            what: "a '$' without a variable's name after it".to_owned(),
            place: at + 1,
        });
    }
    Ok((name, name.len() + marks))
}

fn field(name: &str) -> Field {
    match name {
        "remote_addr" => Field::Address(Side::Remote),
        "remote_port" => Field::Port(Side::Remote),
        "realip_remote_addr" => Field::Address(Side::Hop),
        "realip_remote_port" => Field::Port(Side::Hop),
        "proxy_protocol_addr" => Field::Address(Side::Told),
        "proxy_protocol_port" => Field::Port(Side::Told),
        "server_addr" => Field::ServerAddress,
        "server_port" => Field::ServerPort,
        "time_local" => Field::Time(TimeForm::CommonLog, End::End),
        "time_iso8601" => Field::Time(TimeForm::Iso, End::End),
        "msec" => Field::Time(TimeForm::EpochSeconds, End::End),
        "request_time" | "session_time" => Field::Duration(Unit::Seconds),
        "protocol" => Field::Transport,
        "status"
        | "body_bytes_sent"
        | "bytes_sent"
        | "bytes_received"
        | "connection"
        | "connection_requests"
        | "pid"
        | "request_length"
        | "pipe"
        | "scheme"
        | "https"
        | "request_id"
        | "gzip_ratio"
        | "nginx_version"
        | "ssl_protocol"
        | "ssl_cipher" => Field::Token,
        _ => name
            .strip_prefix("http_")
            .and_then(Header::named)
            .map_or(Field::Text, Field::Header),
    }
}
