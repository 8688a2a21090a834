//! Line formats as a row of literal text and fields, and the checks that make them readable.

pub(crate) mod apache;
pub(crate) mod cut;
mod fast;
pub(crate) mod nginx;
mod scan;
#[cfg(test)]
mod tests;

use std::time::Duration;

use memchr::memmem::Finder;
use portledger_model::{Moment, Transport};

use crate::{
    FormatError,
    fields::{End, Side, Times},
    time::{Supplies, strftime::Strftime},
};

/// What a format string says, piece by piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Element {
    Literal(Vec<u8>),
    Field(Field),
}

/// A piece of a line that differs from line to line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Address(Side),
    Port(Side),
    ServerAddress,
    ServerPort,
    Time(TimeForm, End),
    Duration(Unit),
    Transport,
    /// Text without spaces and quotes, of the server's own making.
    Token,
    /// Anything, a client's text included.
    Text,
}

/// How a time is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeForm {
    CommonLog,
    Iso,
    /// Seconds, with a fraction where one follows.
    EpochSeconds,
    /// Whole units of so many microseconds.
    EpochUnits(u32),
    /// Whole milliseconds, or seconds with a fraction.
    EpochMillis,
    MillisOfSecond,
    MicrosOfSecond,
    Strftime(Strftime),
}

impl TimeForm {
    fn supplies(&self) -> Supplies {
        match self {
            Self::CommonLog | Self::Iso => Supplies::CIVIL,
            Self::EpochSeconds | Self::EpochUnits(_) | Self::EpochMillis => Supplies::EPOCH,
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
    pub(crate) transport: Option<Transport>,
}

impl Traits {
    pub(crate) const HTTP: Self = Self {
        escaping: Escaping::Backslash,
        end: Moment::RequestEnd,
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
    /// Whether its one time is `21/Nov/2026:10:53:22 +0100`.
    is_common_log: bool,
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
    /// The end of the line.
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
                Element::Literal(_) => None,
            })
        };
        let has_address = fields().any(|field| matches!(field, Field::Address(_)));
        if !has_address {
            return Err(FormatError::NoAddress);
        }
        let has_port = Side::ALL.iter().any(|side| {
            fields().any(|field| *field == Field::Port(*side))
                && fields().any(|field| *field == Field::Address(*side))
        });
        let mut timed = fields().filter(|field| matches!(field, Field::Time(..)));
        let is_common_log = matches!(
            (timed.next(), timed.next()),
            (Some(Field::Time(TimeForm::CommonLog, _)), None)
        );
        Ok(Self {
            is_common_log,
            times: times(fields, traits.end)?,
            steps: steps(elements, traits.escaping),
            traits,
            has_port,
        })
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
        if let [Element::Field(_), Element::Field(_)] = pair {
            return Err(FormatError::Adjacent { place: place + 1 });
        }
    }
    Ok(())
}

fn times<'a, I: Iterator<Item = &'a Field>>(
    fields: impl Fn() -> I,
    end: Moment,
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
        (true, false) => Ok(Times::Start),
        (false, true) => Ok(Times::End(end)),
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
        steps.push(match (element, after) {
            (Element::Literal(text), _) => Step::Literal(text.into()),
            (Element::Field(Field::Text), None) => Step::Rest,
            (Element::Field(Field::Text), Some([b'"', ..])) if escaping == Escaping::Backslash => {
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
