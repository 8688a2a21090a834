//! Values as people write them.

use std::time::Duration;

use portledger_model::PortRange;
use serde::{Deserialize, Deserializer, de::Error as _};

pub(super) fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *place = value;
    }
}

pub(super) fn time(given: Option<Time>) -> Option<Duration> {
    given.map(|time| time.0)
}

/// A time as people write it: `120s`, `2h 4m`, `100ms`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Self).map_err(D::Error::custom)
    }
}

/// A duration as people write it.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text
        .parse()
        .map_err(|error| format!("'{text}' is not a duration: {error}; write 120s, 2h or 100ms"))?;
    Duration::try_from(duration).map_err(|_| format!("'{text}' is negative"))
}

/// A range of ports: `1024-65535`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range(pub(super) PortRange);

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (first, last) = text
            .split_once('-')
            .and_then(|(first, last)| Some((first.trim().parse().ok()?, last.trim().parse().ok()?)))
            .ok_or_else(|| {
                D::Error::custom(format!("'{text}' is not a port range; write 1024-65535"))
            })?;
        PortRange::new(first, last)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// 64 hexadecimal digits: the key of every draw. For replays that must come out the same; a NAT
/// that runs draws its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed(pub(super) [u8; 32]);

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut seed = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(D::Error::custom("a seed is 64 hexadecimal digits"));
        }
        for (byte, pair) in seed.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(D::Error::custom)?;
            *byte = u8::from_str_radix(pair, 16).map_err(D::Error::custom)?;
        }
        Ok(Self(seed))
    }
}
