//! Line formats as a row of literal text and fields, and the checks that make them readable.

pub(crate) mod apache;
pub(crate) mod cloud;
pub(crate) mod envoy;
pub(crate) mod haproxy;
pub(crate) mod lighttpd;
pub(crate) mod nginx;
mod scan;
pub(crate) use scan::behind_clock;
pub(crate) mod squid;
#[cfg(test)]
mod tests;
pub(crate) mod tomcat;
pub(crate) mod traefik;
pub(crate) mod varnish;

use std::time::Duration;

use memchr::memmem::Finder;
use portledger_model::{Moment, Transport};

use crate::{
    FormatError, Header, Recorded,
    fields::{End, Side, Times},
    recorded,
    time::{Supplies, strftime::Strftime},
};

/// What a format string says, piece by piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Element {
    Literal(Vec<u8>),
    Field(Field),
    /// Spaces that fill a column, or none.
    Spaces,
}

/// A piece of a line that differs from line to line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Address(Side),
    Port(Side),
    /// An address and a port with a colon between them.
    Endpoint(Side),
    ServerAddress,
    ServerPort,
    ServerEndpoint,
    Time(TimeForm, End),
    Duration(Unit),
    Transport,
    /// Text without spaces and quotes, of the server's own making.
    Token,
    /// Anything, a client's text included.
    Text,
    /// A header in which proxies tell who the client is.
    Header(Header),
}

/// How a time is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeForm {
    CommonLog,
    /// The same without the offset.
    LocalCommonLog,
    Iso,
    /// Seconds, with a fraction where one follows.
    EpochSeconds,
    /// Whole units of so many microseconds.
    EpochUnits(u32),
    /// Whole milliseconds, or seconds with a fraction.
    EpochMillis,
    /// Milliseconds since 1970, rounded up.
    MillisRoundedUp,
    MillisOfSecond,
    MicrosOfSecond,
    Strftime(Strftime),
}

impl TimeForm {
    fn supplies(&self) -> Supplies {
        match self {
            Self::CommonLog | Self::LocalCommonLog | Self::Iso => Supplies::CIVIL,
            Self::EpochSeconds
            | Self::EpochUnits(_)
            | Self::EpochMillis
            | Self::MillisRoundedUp => Supplies::EPOCH,
            Self::MillisOfSecond | Self::MicrosOfSecond => Supplies::NOTHING,
            Self::Strftime(strftime) => strftime.supplies(),
        }
    }
}

/// The unit of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds, in whole or with a fraction.
    Seconds,
    Millis,
    Micros,
}

impl Unit {
    pub(crate) const fn step(self) -> Duration {
        match self {
            Self::Seconds => Duration::from_secs(1),
            Self::Millis => Duration::from_millis(1),
            Self::Micros => Duration::from_micros(1),
        }
    }
}

/// What a server does to quotes inside values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escaping {
    /// A quote or a backslash inside a value is written with a backslash before it, or as `\x22`.
    Backslash,
    /// A quote is written as something else, and a backslash means nothing: the first quote ends
    /// the value.
    NoQuotes,
    /// Nothing: a client's quotes are as they came.
    None,
}

/// What differs from server to server beside the format string.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traits {
    pub(crate) escaping: Escaping,
    /// What the end of a request is called; a line that only marks that a connection was there
    /// is `Logged`.
    pub(crate) end: Moment,
    /// What the beginning of it is called.
    pub(crate) start: Moment,
    /// Times without a zone are in UTC.
    pub(crate) utc: bool,
    /// How far a time in whole seconds may be behind, where that is more than a second.
    pub(crate) clock: Duration,
    pub(crate) transport: Option<Transport>,
}

impl Traits {
    pub(crate) const HTTP: Self = Self {
        escaping: Escaping::Backslash,
        end: Moment::RequestEnd,
        start: Moment::RequestStart,
        utc: false,
        clock: Duration::ZERO,
        transport: Some(Transport::Tcp),
    };
}

/// A format that can be read: see [`scan`] for how.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    steps: Box<[Step]>,
    times: Times,
    traits: Traits,
    has_port: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Literal(Box<[u8]>),
    /// A field that tells its own end, with the first byte of the literal after it.
    Value(Field, Option<u8>),
    /// Free text up to the first quote that no backslash stands before.
    Quoted,
    /// Free text up to the first place where `until` stands and all steps match before `next`,
    /// the step of the next free text.
    Open {
        until: Box<Finder<'static>>,
        next: usize,
    },
    /// Free text up to the end of the line.
    Rest,
    /// Where a header that names a client begins or ends.
    Mark(Header, Edge),
    /// As many spaces as there are.
    Spaces,
    /// The end of the line.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    Begin,
    End,
}

impl Pattern {
    /// Checks that the elements give an address and a time and that their fields can be told
    /// apart. `places` are the bytes of the format string at which the elements stand.
    pub(crate) fn new(
        elements: Vec<Element>,
        places: &[usize],
        traits: Traits,
    ) -> Result<Self, FormatError> {
        let (elements, places) = joined(elements, places);
        adjacency(&elements, &places)?;
        let fields = || {
            elements.iter().filter_map(|element| match element {
                Element::Field(field) => Some(field),
                Element::Literal(_) | Element::Spaces => None,
            })
        };
        let has_address =
            fields().any(|field| matches!(field, Field::Address(_) | Field::Endpoint(_)));
        if !has_address {
            return Err(FormatError::NoAddress);
        }
        let has_port = Side::ALL.iter().any(|side| {
            let has = |wanted: Field| fields().any(|field| *field == wanted);
            has(Field::Endpoint(*side)) || has(Field::Port(*side)) && has(Field::Address(*side))
        });
        Ok(Self {
            times: times(fields, traits)?,
            steps: steps(elements, traits.escaping),
            traits,
            has_port,
        })
    }

    /// What every line says.
    pub(crate) fn recorded(&self) -> Recorded {
        let fields = || {
            self.steps.iter().filter_map(|step| match step {
                Step::Value(field, _) => Some(field),
                _ => None,
            })
        };
        recorded::of_fields(fields, self.times, self.traits, self.has_port)
    }

    /// Of which moments its times are.
    pub(crate) const fn times(&self) -> Times {
        self.times
    }

    /// How far the server's clock may be behind, beyond the step of what it writes.
    pub(crate) const fn clock(&self) -> Duration {
        self.traits.clock
    }

    /// Whether lines carry the port of the address they carry.
    pub(crate) const fn has_port(&self) -> bool {
        self.has_port
    }
}

/// Neighbouring literals as one.
fn joined(elements: Vec<Element>, places: &[usize]) -> (Vec<Element>, Vec<usize>) {
    let mut joined: Vec<Element> = Vec::with_capacity(elements.len());
    let mut kept = Vec::with_capacity(elements.len());
    for (element, place) in elements.into_iter().zip(places) {
        match (joined.last_mut(), element) {
            (_, Element::Literal(text)) if text.is_empty() => {}
            (Some(Element::Literal(before)), Element::Literal(text)) => before.extend(text),
            (_, element) => {
                joined.push(element);
                kept.push(*place);
            }
        }
    }
    (joined, kept)
}

fn adjacency(elements: &[Element], places: &[usize]) -> Result<(), FormatError> {
    for (pair, place) in elements.windows(2).zip(places.iter().skip(1)) {
        if let [Element::Field(_), Element::Field(_) | Element::Spaces] = pair {
            return Err(FormatError::Adjacent { place: place + 1 });
        }
    }
    Ok(())
}

fn times<'a, I: Iterator<Item = &'a Field>>(
    fields: impl Fn() -> I,
    traits: Traits,
) -> Result<Times, FormatError> {
    let supplies = |wanted: End| {
        fields().fold(None::<Supplies>, |sum, field| match field {
            Field::Time(form, of) if *of == wanted => {
                Some(sum.unwrap_or(Supplies::NOTHING).and(form.supplies()))
            }
            _ => sum,
        })
    };
    let is_complete = |supplies: Option<Supplies>| supplies.is_some_and(Supplies::is_complete);
    let (of_start, of_end) = (supplies(End::Start), supplies(End::End));
    match (is_complete(of_start), is_complete(of_end)) {
        (true, true) => Ok(Times::Both),
        (true, false) => Ok(Times::Start(traits.start)),
        (false, true) => Ok(Times::End(traits.end)),
        (false, false) => Err(match of_start.or(of_end) {
            Some(partial) => FormatError::PartialTime {
                missing: partial.missing(),
            },
            None => FormatError::NoTime,
        }),
    }
}

fn steps(elements: Vec<Element>, escaping: Escaping) -> Box<[Step]> {
    let mut steps = Vec::with_capacity(elements.len() + 1);
    let mut open = Vec::new();
    let mut elements = elements.into_iter().peekable();
    while let Some(element) = elements.next() {
        let after = match elements.peek() {
            Some(Element::Literal(text)) => Some(text.as_slice()),
            _ => None,
        };
        let (element, header) = match element {
            Element::Field(Field::Header(header)) => (Element::Field(Field::Text), Some(header)),
            element => (element, None),
        };
        steps.extend(header.map(|header| Step::Mark(header, Edge::Begin)));
        steps.push(match (element, after) {
            (Element::Literal(text), _) => Step::Literal(text.into()),
            (Element::Spaces, _) => Step::Spaces,
            (Element::Field(Field::Text), None) => Step::Rest,
            (Element::Field(Field::Text), Some([b'"', ..])) if escaping != Escaping::None => {
                Step::Quoted
            }
            (Element::Field(Field::Text), Some(text)) => {
                open.push(steps.len());
                Step::Open {
                    until: Box::new(Finder::new(text).into_owned()),
                    next: 0,
                }
            }
            (Element::Field(field), after) => {
                Step::Value(field, after.and_then(|text| text.first().copied()))
            }
        });
        steps.extend(header.map(|header| Step::Mark(header, Edge::End)));
    }
    steps.push(Step::End);
    for at in open {
        let following = steps.iter().enumerate().skip(at + 1);
        let end = following
            .filter(|(_, step)| matches!(step, Step::Quoted | Step::Open { .. } | Step::Rest))
            .map(|(index, _)| index)
            .next()
            .unwrap_or(steps.len());
        if let Some(Step::Open { next, .. }) = steps.get_mut(at) {
            *next = end;
        }
    }
    steps.into()
}
