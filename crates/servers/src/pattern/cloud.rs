//! Access logs of Amazon's load balancers, after their documentation.
//!
//! Fields are separated by spaces. That quotes in a client's text are escaped is not documented, so
//! they are taken as they come.

use portledger_model::Moment;

use super::{Element, Escaping, Field, Pattern, TimeForm, Traits};
use crate::{
    FormatError,
    fields::{End, Side},
};

const TIME: Field = Field::Time(TimeForm::Iso, End::End);
const START: Field = Field::Time(TimeForm::Iso, End::Start);
const CLIENT: Field = Field::Endpoint(Side::Remote);

/// A column, and whether quotes are around it.
type Column = (Field, bool);

fn plain(fields: &[Field]) -> Vec<Column> {
    fields.iter().map(|field| (field.clone(), false)).collect()
}

fn quoted(count: usize) -> Vec<Column> {
    vec![(Field::Text, true); count]
}

/// Application Load Balancer: the time is that of the response, and the request's comes later.
pub(crate) fn alb() -> Result<Pattern, FormatError> {
    use Field::{Text, Token};
    let columns = [
        plain(&[Token, TIME, Token, CLIENT, Token]),
        // Three durations, two statuses, two counts of bytes.
        plain(&[Token, Token, Token, Token, Token, Token, Token]),
        // The request and the user agent.
        quoted(2),
        plain(&[Token, Token, Token]),
        // The trace, the domain and the certificate.
        quoted(3),
        plain(&[Token, START, Text]),
    ];
    pattern(&columns.concat(), Moment::RequestEnd)
}

/// Network Load Balancer with TLS: the time is of the end of the connection and has no zone.
pub(crate) fn nlb_tls() -> Result<Pattern, FormatError> {
    use Field::{ServerEndpoint, Text, Token};
    let mut elements = vec![Element::Literal(b"tls ".to_vec())];
    elements.extend(row(&plain(&[
        Token,
        TIME,
        Token,
        Token,
        CLIENT,
        ServerEndpoint,
        Text,
    ])));
    compiled(elements, Moment::Logged)
}

/// Classic Load Balancer: the time is of when the request came.
pub(crate) fn elb() -> Result<Pattern, FormatError> {
    use Field::{Text, Token};
    let columns = [
        plain(&[START, Token, CLIENT, Token]),
        plain(&[Token, Token, Token, Token, Token, Token, Token, Text]),
    ];
    pattern(&columns.concat(), Moment::RequestEnd)
}

fn pattern(columns: &[Column], end: Moment) -> Result<Pattern, FormatError> {
    compiled(row(columns), end)
}

fn row(columns: &[Column]) -> Vec<Element> {
    let mut elements = Vec::new();
    for (field, is_quoted) in columns {
        let quote = if *is_quoted { "\"" } else { "" };
        let space = if elements.is_empty() { "" } else { " " };
        elements.push(Element::Literal(format!("{space}{quote}").into_bytes()));
        elements.push(Element::Field(field.clone()));
        elements.push(Element::Literal(quote.as_bytes().to_vec()));
    }
    elements
}

fn compiled(elements: Vec<Element>, end: Moment) -> Result<Pattern, FormatError> {
    let places: Vec<usize> = (0..elements.len()).collect();
    let traits = Traits {
        escaping: Escaping::None,
        end,
        ..Traits::HTTP
    };
    Pattern::new(elements, &places, traits)
}
