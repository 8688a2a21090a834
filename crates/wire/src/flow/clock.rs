//! The many ways in which a record says when.

use portledger_model::Timestamp;

use super::slots::{Places, Row, Slot};

/// The last millisecond of the year 9999: no log of this world is from later.
const LAST_MILLIS: u64 = 253_402_300_799_999;
/// From 1900-01-01 to 1970-01-01, in seconds (RFC 5905 §6).
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// A time that cannot be one: after the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Absurd;

/// What a message's header says of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// When the message left, to the second.
    pub(super) at: Timestamp,
    /// NetFlow v9: milliseconds since the device booted.
    pub(super) uptime: Option<u32>,
    /// When the device booted, where it said so (systemInitTimeMilliseconds).
    pub(super) booted: Option<Timestamp>,
}

/// How a field tells a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Seconds,
    Millis,
    /// NTP's 64 bits; of the fraction the lowest 11 bits mean nothing (RFC 7011 §6.1.9).
    NtpMicros,
    /// NTP's 64 bits (RFC 7011 §6.1.10).
    NtpNanos,
    /// Microseconds before the header's time.
    Delta,
    /// Milliseconds since the device booted.
    Uptime,
}

/// Which field tells a time, and how.
pub(super) type Clock = Option<(Slot, ScaleOf)>;

/// Opaque outside: how a clock's field is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScaleOf(Scale);

/// Of each moment the finest clock a template has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    pub(super) observed: Clock,
    pub(super) start: Clock,
    pub(super) end: Clock,
}

impl Clocks {
    pub(super) fn of(has: &Places) -> Self {
        use Scale::{Delta, Millis, NtpMicros, NtpNanos, Seconds, Uptime};
        let first = |candidates: &[(Slot, Scale)]| {
            candidates
                .iter()
                .find(|(slot, _)| has.has(*slot))
                .map(|(slot, scale)| (*slot, ScaleOf(*scale)))
        };
        Self {
            observed: first(&[
                (Slot::ObservedNanos, NtpNanos),
                (Slot::ObservedMicros, NtpMicros),
                (Slot::ObservedMillis, Millis),
                (Slot::ObservedSeconds, Seconds),
            ]),
            start: first(&[
                (Slot::StartNanos, NtpNanos),
                (Slot::StartMicros, NtpMicros),
                (Slot::StartMillis, Millis),
                (Slot::StartDelta, Delta),
                (Slot::StartUptime, Uptime),
                (Slot::StartSeconds, Seconds),
            ]),
            end: first(&[
                (Slot::EndNanos, NtpNanos),
                (Slot::EndMicros, NtpMicros),
                (Slot::EndMillis, Millis),
                (Slot::EndDelta, Delta),
                (Slot::EndUptime, Uptime),
                (Slot::EndSeconds, Seconds),
            ]),
        }
    }

    pub(super) const fn has_both_ends(&self) -> bool {
        self.start.is_some() && self.end.is_some()
    }

    pub(super) const fn is_none(&self) -> bool {
        self.observed.is_none() && self.start.is_none() && self.end.is_none()
    }
}

/// The time a clock of this record shows; zero is how exporters say that they do not know.
pub(super) fn read(row: Row<'_>, clock: Clock, sent: Sent) -> Result<Option<Timestamp>, Absurd> {
    let Some((slot, ScaleOf(scale))) = clock else {
        return Ok(None);
    };
    let Some(value) = row.unsigned(slot) else {
        return Ok(None);
    };
    if value == 0 && !matches!(scale, Scale::Delta | Scale::Uptime) {
        return Ok(None);
    }
    Ok(match scale {
        Scale::Seconds => Some(from_millis(value.checked_mul(1_000).ok_or(Absurd)?)?),
        Scale::Millis => Some(from_millis(value)?),
        Scale::NtpMicros => Some(from_ntp(value & !0x7ff)),
        Scale::NtpNanos => Some(from_ntp(value)),
        Scale::Delta => Some(Timestamp::from_micros(
            sent.at
                .as_micros()
                .saturating_sub_unsigned(value.min(u64::from(u32::MAX))),
        )),
        Scale::Uptime => from_uptime(value, sent),
    })
}

/// When the device booted, by systemInitTimeMilliseconds (160).
pub(super) fn boot_time(row: Row<'_>) -> Option<Timestamp> {
    from_millis(row.unsigned(Slot::SystemInit)?).ok()
}

fn from_millis(millis: u64) -> Result<Timestamp, Absurd> {
    match i64::try_from(millis) {
        Ok(signed) if millis <= LAST_MILLIS => Ok(Timestamp::from_millis(signed)),
        _ => Err(Absurd),
    }
}

/// NTP's seconds are 32 bits: those below half are of the era that begins in 2036.
fn from_ntp(value: u64) -> Timestamp {
    let (mut seconds, fraction) = (value >> 32, value & 0xffff_ffff);
    if seconds < 1 << 31 {
        seconds += 1 << 32;
    }
    // Before 1970 where they are just above half: 1968 and 1969.
    let seconds = seconds.cast_signed() - NTP_TO_UNIX.cast_signed();
    let micros = (fraction * 1_000_000) >> 32;
    Timestamp::from_micros(seconds * 1_000_000 + micros.cast_signed())
}

/// The other way: dateTimeMicroseconds of a time between 1968 and 2104. Rounded up to the 2^-21 s
/// the type has, so that reading it, which rounds down, gives the same microsecond.
pub(super) fn to_ntp_micros(at: Timestamp) -> Option<u64> {
    let seconds = at.as_micros().div_euclid(1_000_000);
    let micros = u64::try_from(at.as_micros().rem_euclid(1_000_000)).ok()?;
    let since_1900 = u64::try_from(seconds).ok()?.checked_add(NTP_TO_UNIX)?;
    let in_two_eras = (1 << 31)..((1 << 32) + (1 << 31));
    if !in_two_eras.contains(&since_1900) {
        return None;
    }
    let fraction = (micros << 21).div_ceil(1_000_000) << 11;
    Some(((since_1900 & 0xffff_ffff) << 32) | fraction)
}

/// An uptime counts milliseconds in 32 bits, so it turns over after 49.7 days: what counts is how
/// far it is from the header's.
fn from_uptime(value: u64, sent: Sent) -> Option<Timestamp> {
    let value = u32::try_from(value).ok()?;
    if let Some(now) = sent.uptime {
        let ago = i64::from(now.wrapping_sub(value).cast_signed());
        return Some(Timestamp::from_millis(
            sent.at.as_millis().saturating_sub(ago),
        ));
    }
    let booted = sent.booted?.as_millis();
    Some(Timestamp::from_millis(booted.saturating_add(value.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ntp_turns_over_in_2036() {
        // RFC 5905 §6, figure 4: era 1 begins on 2036-02-07T06:28:16Z.
        assert_eq!(from_ntp(0).to_string(), "2036-02-07T06:28:16.000Z");
        assert_eq!(
            from_ntp(NTP_TO_UNIX << 32).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
        assert_eq!(from_ntp(1 << 63).to_string(), "1968-01-20T03:14:08.000Z");
    }

    #[test]
    fn of_microseconds_the_lowest_bits_mean_nothing() {
        // RFC 7011 §6.1.9. Just below 3 us, but for what must be ignored just above.
        let fraction = (3 << 32_u64) / 1_000_000 + 1;
        let mut places = Places::NONE;
        places.put(Slot::ObservedMicros, 0, 8);
        let bytes = ((NTP_TO_UNIX << 32) | fraction).to_be_bytes();
        let row = Row {
            bytes: &bytes,
            places: &places,
        };
        let sent = Sent {
            at: Timestamp::EPOCH,
            uptime: None,
            booted: None,
        };
        let told = read(row, Clocks::of(&places).observed, sent);
        assert_eq!(told, Ok(Some(Timestamp::from_micros(2))));
    }

    proptest! {
        #[test]
        fn any_ntp_time_is_between_1968_and_2104(value: u64) {
            let seconds = from_ntp(value).as_micros().div_euclid(1_000_000);
            prop_assert!((-61_505_152..4_233_462_144).contains(&seconds));
        }

        #[test]
        fn microseconds_survive_ntp(micros in 0_i64..4_200_000_000_000_000) {
            let at = Timestamp::from_micros(micros);
            let wire = to_ntp_micros(at).unwrap();
            prop_assert_eq!(wire & 0x7ff, 0);
            prop_assert_eq!(from_ntp(wire), at);
        }

        #[test]
        fn an_uptime_that_turned_over_is_still_before_the_header(before in 0_u32..1_000_000, uptime: u32) {
            let sent = Sent { at: Timestamp::from_secs(1_790_000_000), uptime: Some(uptime), booted: None };
            let told = from_uptime(u64::from(uptime.wrapping_sub(before)), sent).unwrap();
            prop_assert_eq!(sent.at.as_millis() - told.as_millis(), i64::from(before));
        }
    }
}
