//! What a log records of who connected.

use std::time::Duration;

use portledger_model::Moment;
use portledger_servers::{Format, Recorded, WrittenZone};
use serde::Serialize;

/// What every line of a log says, as its format promises (RFC 6302 §2: source address and port,
/// exact time, transport, and the destination port where several are served).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Records {
    /// The client's address.
    pub source_address: bool,
    /// The port that belongs to that address.
    pub source_port: bool,
    /// Whether the instant is certain: UTC, an offset, or seconds since 1970. Local time without
    /// an offset is not, in the hour that clocks repeat and for whoever does not know the zone.
    pub time_utc: bool,
    /// The step of the clock, in milliseconds and at least 1; `None` where there is no time.
    #[serde(rename = "time_resolution_ms", serialize_with = "milliseconds")]
    pub resolution: Option<Duration>,
    /// Whether the transport is known: written, or the only one that the server speaks.
    pub transport: bool,
    /// Whether the server's own port is known: written, or the only one that it listens on.
    pub destination_port: bool,
    /// How the zone of times is written.
    #[serde(serialize_with = "zone")]
    pub zone: WrittenZone,
    /// Which moment of the connection the time is.
    pub moment: Option<Moment>,
}

impl Records {
    /// Of a log that says nothing of who connected.
    pub const NOTHING: Self = Self {
        source_address: false,
        source_port: false,
        time_utc: false,
        resolution: None,
        transport: false,
        destination_port: false,
        zone: WrittenZone::Missing,
        moment: None,
    };

    /// What a format promises; a log of lines that no format string describes is told by whoever
    /// knows the server's settings.
    pub fn of(format: &Format) -> Option<Self> {
        format.recorded().map(Self::from)
    }

    /// Of a server that speaks TCP alone and whose lines say who connected, until it is known how
    /// its times are written.
    pub(crate) const fn of_client(source_port: bool) -> Self {
        Self {
            source_address: true,
            source_port,
            transport: true,
            moment: Some(Moment::Logged),
            ..Self::NOTHING
        }
    }

    /// The same with such times.
    pub(crate) const fn timed(mut self, zone: WrittenZone, step: Option<Duration>) -> Self {
        self.zone = zone;
        self.time_utc = matches!(zone, WrittenZone::Utc | WrittenZone::Offset);
        self.resolution = step;
        self
    }

    /// The same, where the server's own port is known or not.
    pub(crate) const fn serving(mut self, is_port_known: bool) -> Self {
        self.destination_port = is_port_known;
        self
    }

    /// Whether a line can be held against a NAT's log: address, port and an instant.
    pub const fn are_enough(&self) -> bool {
        self.source_address && self.source_port && self.time_utc
    }
}

impl From<Recorded> for Records {
    fn from(recorded: Recorded) -> Self {
        Self {
            source_address: recorded.address,
            source_port: recorded.port,
            time_utc: recorded.zone == WrittenZone::Utc || recorded.zone == WrittenZone::Offset,
            resolution: recorded.resolution,
            transport: recorded.transport,
            destination_port: recorded.destination_port,
            zone: recorded.zone,
            moment: recorded.moment,
        }
    }
}

/// How times of a strftime text have their zone.
pub(crate) fn zone_of_strftime(form: &str) -> WrittenZone {
    if form.contains("%z") {
        WrittenZone::Offset
    } else if form.contains("%s") {
        WrittenZone::Utc
    } else {
        WrittenZone::Local
    }
}

fn milliseconds<S: serde::Serializer>(
    step: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let whole = step.map(|step| u64::try_from(step.as_millis()).unwrap_or(u64::MAX).max(1));
    whole.serialize(serializer)
}

fn zone<S: serde::Serializer>(zone: &WrittenZone, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(zone.name())
}
