//! A remote endpoint seen at a time.

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde::{Serialize, Serializer};

use crate::{Millis, Timestamp, Transport};

/// A remote endpoint seen at a time: what a server's log line, an abuse report or a capture says.
/// `None` is what the source does not say; nothing is guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Where it was read.
    pub source: Source,
    /// The remote address: the true client's, through trusted proxies.
    pub address: IpAddr,
    /// The remote port.
    pub port: Option<u16>,
    /// The transport.
    pub transport: Option<Transport>,
    /// The server's own end.
    pub destination: Destination,
    /// When, in UTC, by the server's clock; `None` where the source has no zone and none was
    /// given. The true instant is at or after this and less than `resolution` later.
    pub at: Option<Timestamp>,
    /// The other instant that the same local time names, in the hour that clocks repeat.
    pub or_at: Option<Timestamp>,
    /// The step of the source's clock: 1 s for a time in whole seconds.
    pub resolution: Duration,
    /// How the zone became known.
    pub zone: Zone,
    /// Which moment of the connection `at` is.
    pub moment: Moment,
    /// How long before `at` the connection had lasted, where the source says so: the endpoint was
    /// in use during all of it.
    pub lasted: Option<Duration>,
}

/// Where a sighting was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Source {
    /// The file, as it was named; `-` for standard input. All sightings of it share the name.
    #[serde(serialize_with = "text")]
    pub file: Arc<str>,
    /// The line, or the packet of a capture, from 1.
    pub line: u64,
}

/// The server's own end of a connection, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Destination {
    /// The server's address.
    pub address: Option<IpAddr>,
    /// The server's port.
    pub port: Option<u16>,
}

/// How a sighting's zone became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Zone {
    /// The source writes UTC (Z, or seconds since the epoch).
    Utc,
    /// The source writes an offset.
    Offset,
    /// The source writes none; whoever asked gave it.
    Given,
    /// The source writes none and none was given: the time is unknown.
    Missing,
}

/// Which moment of a connection a sighting's time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// The connection was opened.
    Connect,
    /// A request began.
    RequestStart,
    /// A request was answered.
    RequestEnd,
    /// The line was written, at some moment of the connection or shortly after it.
    Logged,
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// The form of `sightings --json`.
impl Serialize for Sighting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;

        let mut object = serializer.serialize_struct("Sighting", 11)?;
        object.serialize_field("source", &self.source)?;
        object.serialize_field("address", &self.address)?;
        object.serialize_field("port", &self.port)?;
        object.serialize_field("transport", &self.transport)?;
        object.serialize_field("destination", &self.destination)?;
        object.serialize_field("at", &self.at)?;
        object.serialize_field("or_at", &self.or_at)?;
        object.serialize_field("resolution_ms", &Millis(self.resolution))?;
        object.serialize_field("zone", &self.zone)?;
        object.serialize_field("moment", &self.moment)?;
        object.serialize_field("lasted_ms", &self.lasted.map(Millis))?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_null() {
        let sighting = Sighting {
            source: Source {
                file: "access.log".into(),
                line: 7,
            },
            address: "203.0.113.7".parse().unwrap(),
            port: None,
            transport: None,
            destination: Destination::default(),
            at: None,
            or_at: None,
            resolution: Duration::from_secs(1),
            zone: Zone::Missing,
            moment: Moment::RequestEnd,
            lasted: Some(Duration::from_micros(1_500)),
        };
        assert_eq!(
            serde_json::to_string(&sighting).unwrap(),
            r#"{"source":{"file":"access.log","line":7},"address":"203.0.113.7","port":null,"transport":null,"destination":{"address":null,"port":null},"at":null,"or_at":null,"resolution_ms":1000,"zone":"missing","moment":"request-end","lasted_ms":1.5}"#
        );
    }
}
