//! How far a clock was off, in words and in JSON. Neither holds an address or a subscriber.

use std::fmt;

use portledger_model::Millis;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{Offset, drift::Drift};
use crate::Drifting;

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shifts.is_empty() {
            writeln!(
                f,
                "no shift of up to {} s puts any of {} sightings inside an allocation",
                self.range.as_secs_f64(),
                self.sightings
            )?;
        }
        for shifts in &self.shifts {
            write!(
                f,
                "correction {shifts} (added to the clock's times; negative where it was fast): {} of {} sightings fall inside an allocation",
                self.satisfied, self.tried
            )?;
            if self.tried < self.sightings {
                write!(f, ", out of {}", self.sightings)?;
            }
            match self.tried - self.satisfied {
                0 => writeln!(f)?,
                against => writeln!(f, ", {against} contradict it")?,
            }
        }
        if self.reaches_the_edge() {
            writeln!(
                f,
                "this reaches the edge of what was searched; search further"
            )?;
        }
        write!(
            f,
            "{} sightings of endpoints that were never ours; {} left out (no time, no port or IPv6); {} where the log is not complete",
            self.not_ours, self.left_out, self.incomplete
        )
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(shifts) = self.shifts else {
            return f.write_str("no sighting tells of a drift");
        };
        let [(first, begin), (last, end)] = shifts.ends();
        let (least, most) = self.billionths;
        write!(
            f,
            "correction that grows by {} to {} ppm (more than zero where the clock ran slow): {begin} at {first}, {end} at {last}: {} of {} sightings fall inside an allocation",
            Ppm(least),
            Ppm(most),
            self.satisfied,
            self.sightings
        )?;
        match self.sightings - self.satisfied {
            0 => Ok(()),
            against => write!(f, ", {against} contradict it"),
        }
    }
}

/// Parts of a thousand million as parts of a million.
struct Ppm(i64);

impl fmt::Display for Ppm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        let size = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:03}", size / 1_000, size % 1_000)
    }
}

impl Serialize for Offset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Offset", 8)?;
        object.serialize_field("shifts", &self.shifts)?;
        object.serialize_field("satisfied", &self.satisfied)?;
        object.serialize_field("tried", &self.tried)?;
        object.serialize_field("sightings", &self.sightings)?;
        object.serialize_field("not_ours", &self.not_ours)?;
        object.serialize_field("left_out", &self.left_out)?;
        object.serialize_field("incomplete", &self.incomplete)?;
        object.serialize_field("range_ms", &Millis(self.range))?;
        object.end()
    }
}

impl Serialize for Drift {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (least, most) = self.billionths;
        let ppm = |billionths: i64| billionths as f64 / 1_000.0;
        let mut object = serializer.serialize_struct("Drift", 5)?;
        object.serialize_field("ppm_least", &ppm(least))?;
        object.serialize_field("ppm_most", &ppm(most))?;
        object.serialize_field("ends", &self.shifts.map(Drifting::ends))?;
        object.serialize_field("satisfied", &self.satisfied)?;
        object.serialize_field("sightings", &self.sightings)?;
        object.end()
    }
}
