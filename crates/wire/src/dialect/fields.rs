//! What a dialect finds in a line: fields, and the texts they are read from.

use std::net::IpAddr;

use portledger_model::{Timestamp, Transport};

use super::values::{address, duration, endpoint, number, port, time_in, transport, word};
use crate::{
    event::Phase,
    syslog::{WrittenTime, scan::DateOrder},
};

/// A field that a dialect may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Internal,
    InternalPort,
    InternalEndpoint,
    Tunnel,
    Realm,
    External,
    ExternalEndpoint,
    Port,
    First,
    Last,
    Count,
    Step,
    Transport,
    Destination,
    DestinationPort,
    DestinationEndpoint,
    Phase,
    Pool,
    Time(TimeForm),
    Since(TimeForm),
    Stamp(TimeForm),
    Duration(DurationForm),
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeForm {
    /// As people write it.
    Date(DateOrder),
    /// Seconds since 1970, decimal, with a fraction or without.
    Epoch,
    /// Milliseconds since 1970, decimal.
    EpochMillis,
    /// Seconds, milliseconds, microseconds or nanoseconds, by how many digits there are.
    EpochAny,
    /// Seconds since 1970, hexadecimal, with `0x` or without.
    EpochHex,
}

/// How a duration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DurationForm {
    Seconds,
    Millis,
    /// Hours, minutes and seconds with colons between.
    Clock,
}

/// The names as dialect files write them; a time's and a duration's form follows a colon.
pub(crate) const NAMES: &str = "internal, internal-port, internal-endpoint, tunnel, realm, \
     external, external-endpoint, port, first, last, count, step, transport, destination, \
     destination-port, destination-endpoint, phase, pool, and with a form behind a colon: time, \
     since and stamp (date, date-unpadded, month-first, day-first, epoch, epoch-ms, epoch-any, \
     epoch-hex), duration (s, ms, clock)";

impl Field {
    /// `name` or `name:form`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, form) = text
            .split_once(':')
            .map_or((text, None), |(n, f)| (n, Some(f)));
        let time = || TimeForm::parse(form?);
        let field = match name {
            "time" => Self::Time(time()?),
            "since" => Self::Since(time()?),
            "stamp" => Self::Stamp(time()?),
            "duration" => Self::Duration(match form? {
                "s" => DurationForm::Seconds,
                "ms" => DurationForm::Millis,
                "clock" => DurationForm::Clock,
                _ => return None,
            }),
            _ if form.is_some() => return None,
            "internal" => Self::Internal,
            "internal-port" => Self::InternalPort,
            "internal-endpoint" => Self::InternalEndpoint,
            "external-endpoint" => Self::ExternalEndpoint,
            "destination-endpoint" => Self::DestinationEndpoint,
            "tunnel" => Self::Tunnel,
            "realm" => Self::Realm,
            "external" => Self::External,
            "port" => Self::Port,
            "first" => Self::First,
            "last" => Self::Last,
            "count" => Self::Count,
            "step" => Self::Step,
            "transport" => Self::Transport,
            "destination" => Self::Destination,
            "destination-port" => Self::DestinationPort,
            "phase" => Self::Phase,
            "pool" => Self::Pool,
            _ => return None,
        };
        Some(field)
    }

    /// Whether it is a time as people write it.
    pub(crate) const fn is_date(self) -> bool {
        matches!(
            self,
            Self::Time(TimeForm::Date(_))
                | Self::Since(TimeForm::Date(_))
                | Self::Stamp(TimeForm::Date(_))
        )
    }

    /// What stands in an error.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Internal => "the internal address",
            Self::InternalPort => "the internal port",
            Self::InternalEndpoint => "the internal address and port",
            Self::ExternalEndpoint => "the external address and port",
            Self::DestinationEndpoint => "the destination's address and port",
            Self::Tunnel => "the tunnel's address",
            Self::Realm => "the realm",
            Self::External => "the external address",
            Self::Port => "the external port",
            Self::First => "the first port",
            Self::Last => "the last port",
            Self::Count => "the number of ports",
            Self::Step => "the step between ports",
            Self::Transport => "the transport",
            Self::Destination => "the destination",
            Self::DestinationPort => "the destination's port",
            Self::Phase => "the word for what happens",
            Self::Pool => "the pool's number",
            Self::Time(_) | Self::Stamp(_) => "the time",
            Self::Since(_) => "the time of the beginning",
            Self::Duration(_) => "the duration",
        }
    }
}

impl TimeForm {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "date" => Self::Date(DateOrder::Year),
            "date-unpadded" => Self::Date(DateOrder::YearUnpadded),
            "month-first" => Self::Date(DateOrder::Month),
            "day-first" => Self::Date(DateOrder::Day),
            "epoch" => Self::Epoch,
            "epoch-ms" => Self::EpochMillis,
            "epoch-any" => Self::EpochAny,
            "epoch-hex" => Self::EpochHex,
            _ => return None,
        })
    }
}

/// A time in a line: an instant, or what has yet to be told the zone or the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundTime {
    Instant(Timestamp),
    Written(WrittenTime),
}

/// A transport in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundTransport {
    One(Transport),
    /// One whose ports are not shared out: GRE, ESP and the like.
    Other,
}

/// What was found so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Found<'a> {
    pub(crate) internal: Option<IpAddr>,
    pub(crate) internal_port: Option<u16>,
    pub(crate) tunnel: Option<IpAddr>,
    pub(crate) realm: Option<&'a [u8]>,
    pub(crate) external: Option<IpAddr>,
    pub(crate) port: Option<u16>,
    pub(crate) first: Option<u16>,
    pub(crate) last: Option<u16>,
    pub(crate) count: Option<u32>,
    pub(crate) step: Option<u32>,
    pub(crate) transport: Option<FoundTransport>,
    pub(crate) destination: Option<IpAddr>,
    pub(crate) destination_port: Option<u16>,
    pub(crate) phase: Option<Phase>,
    pub(crate) pool: Option<u32>,
    pub(crate) time: Option<FoundTime>,
    pub(crate) since: Option<FoundTime>,
    pub(crate) stamp: Option<FoundTime>,
    /// Microseconds.
    pub(crate) duration: Option<u64>,
}

impl<'a> Found<'a> {
    /// Reads a field from the start of `text`; says how many bytes it took. `None` where there is
    /// no such thing.
    pub(crate) fn read(
        &mut self,
        field: Field,
        text: &'a [u8],
        words: &[(Box<[u8]>, Phase)],
        word_end: Option<u8>,
    ) -> Option<usize> {
        // Devices write "-" for what there is none of.
        if field != Field::Phase
            && text.first() == Some(&b'-')
            && text
                .get(1)
                .is_none_or(|next| b" \t\"],;)|:/".contains(next))
        {
            return Some(1);
        }
        let used = match field {
            Field::Internal => put(&mut self.internal, address(text))?,
            Field::Tunnel => put(&mut self.tunnel, address(text))?,
            Field::External => put(&mut self.external, address(text))?,
            Field::Destination => put(&mut self.destination, address(text))?,
            Field::InternalEndpoint => {
                let end = endpoint(text)?;
                self.internal = Some(end.address);
                self.internal_port = end.first.or(self.internal_port);
                self.realm = end.domain.or(self.realm);
                end.used
            }
            Field::ExternalEndpoint => {
                let end = endpoint(text)?;
                self.external = Some(end.address);
                self.first = end.first.or(self.first);
                self.last = end.last.or(self.last);
                end.used
            }
            Field::DestinationEndpoint => {
                let end = endpoint(text)?;
                self.destination = Some(end.address);
                self.destination_port = end.first.or(self.destination_port);
                end.used
            }
            Field::InternalPort => put(&mut self.internal_port, port(text))?,
            Field::Port => put(&mut self.port, port(text))?,
            Field::First => put(&mut self.first, port(text))?,
            Field::Last => put(&mut self.last, port(text))?,
            Field::DestinationPort => put(&mut self.destination_port, port(text))?,
            Field::Count => put(&mut self.count, number(text))?,
            Field::Step => put(&mut self.step, number(text))?,
            Field::Pool => put(&mut self.pool, number(text))?,
            Field::Transport => put(&mut self.transport, transport(text, word_end))?,
            Field::Realm => {
                let realm = word(text, word_end);
                self.realm = Some(realm);
                realm.len()
            }
            Field::Phase => {
                let word = word(text, word_end);
                let known = words.iter().find(|(known, _)| **known == *word)?;
                self.phase = Some(known.1);
                word.len()
            }
            Field::Time(form) => put(&mut self.time, time_in(text, form))?,
            Field::Since(form) => put(&mut self.since, time_in(text, form))?,
            Field::Stamp(form) => put(&mut self.stamp, time_in(text, form))?,
            Field::Duration(form) => put(&mut self.duration, duration(text, form))?,
        };
        Some(used)
    }
}

fn put<T>(place: &mut Option<T>, read: Option<(T, usize)>) -> Option<usize> {
    let (value, used) = read?;
    *place = Some(value);
    Some(used)
}
