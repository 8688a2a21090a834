//! What the lines of a format say, told from the format alone.

use std::time::Duration;

use portledger_model::Moment;

use crate::{
    fields::{End, Times},
    pattern::{Field, TimeForm, Traits},
};

/// What every line of a format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The client's address.
    pub address: bool,
    /// The port that belongs to that address.
    pub port: bool,
    /// How the zone of times is written.
    pub zone: WrittenZone,
    /// The step of the clock; `None` where there is no time.
    pub resolution: Option<Duration>,
    /// Which moment the time is; `None` where there is no time.
    pub moment: Option<Moment>,
    /// The transport is written, or the only one there is.
    pub transport: bool,
    /// The server's own port.
    pub destination_port: bool,
}

/// How a format writes the zone of its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenZone {
    /// UTC, or seconds since 1970.
    Utc,
    /// An offset.
    Offset,
    /// Local time, and nothing that says so.
    Local,
    /// No time at all.
    Missing,
}

impl WrittenZone {
    /// Its name, for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utc => "utc",
            Self::Offset => "offset",
            Self::Local => "local",
            Self::Missing => "missing",
        }
    }
}

/// What of a time some fields give together: the best zone and the finest step of them.
#[derive(Clone, Copy)]
struct Time {
    zone: WrittenZone,
    step: Duration,
}

/// The time that the fields of one end of the request make together.
fn time<'a>(fields: impl Iterator<Item = &'a Field>, wanted: End) -> Option<Time> {
    let forms = fields.filter_map(|field| match field {
        Field::Time(form, end) if *end == wanted => Some(of_form(form)),
        _ => None,
    });
    forms.reduce(|one, other| {
        let zone = better(one.zone, other.zone);
        let are_parts =
            one.zone == other.zone || [one.zone, other.zone].contains(&WrittenZone::Missing);
        // Of two whole times the one that is certain counts, with the step that it has.
        let step = match (are_parts, zone == one.zone) {
            (true, _) => one.step.min(other.step),
            (false, true) => one.step,
            (false, false) => other.step,
        };
        Time { zone, step }
    })
}

fn better(one: WrittenZone, other: WrittenZone) -> WrittenZone {
    use WrittenZone::{Local, Missing, Offset, Utc};
    match (one, other) {
        (Utc, _) | (_, Utc) => Utc,
        (Offset, _) | (_, Offset) => Offset,
        (Local, _) | (_, Local) => Local,
        (Missing, Missing) => Missing,
    }
}

fn of_form(form: &TimeForm) -> Time {
    use WrittenZone::{Local, Missing, Offset, Utc};
    let (zone, step) = match form {
        TimeForm::CommonLog | TimeForm::Iso => (Offset, Duration::from_secs(1)),
        TimeForm::LocalCommonLog => (Local, Duration::from_millis(1)),
        TimeForm::EpochSeconds | TimeForm::EpochMillis | TimeForm::MillisRoundedUp => {
            (Utc, Duration::from_millis(1))
        }
        TimeForm::EpochUnits(micros) => (Utc, Duration::from_micros(u64::from(*micros))),
        TimeForm::MillisOfSecond => (Missing, Duration::from_millis(1)),
        TimeForm::MicrosOfSecond => (Missing, Duration::from_micros(1)),
        TimeForm::Strftime(strftime) => (strftime.zone(), strftime.step()),
    };
    Time { zone, step }
}

/// What the fields of a format string say.
pub(crate) fn of_fields<'a, I: Iterator<Item = &'a Field>>(
    fields: impl Fn() -> I,
    times: Times,
    traits: Traits,
    port: bool,
) -> Recorded {
    let is_there = |wanted: fn(&Field) -> bool| fields().any(wanted);
    let (wanted, moment) = match times {
        Times::Start(moment) => (Some(End::Start), Some(moment)),
        Times::End(moment) => (Some(End::End), Some(moment)),
        Times::Both => (Some(End::End), Some(Moment::RequestEnd)),
        Times::None(_) => (None, None),
    };
    let time = wanted.and_then(|wanted| time(fields(), wanted));
    Recorded {
        address: is_there(|field| matches!(field, Field::Address(_) | Field::Endpoint(_))),
        port,
        zone: match time {
            Some(_) if traits.utc => WrittenZone::Utc,
            Some(time) => time.zone,
            None => WrittenZone::Missing,
        },
        // A clock that lags does so where it tells whole seconds.
        resolution: time.map(|time| match time.step.subsec_nanos() {
            0 => time.step.max(traits.clock),
            _ => time.step,
        }),
        moment,
        transport: traits.transport.is_some() || is_there(|field| *field == Field::Transport),
        destination_port: is_there(|field| {
            matches!(field, Field::ServerPort | Field::ServerEndpoint)
        }),
    }
}
