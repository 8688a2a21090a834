//! How a clock is put right: by one shift, or by one that grows with time.

use portledger_model::Timestamp;

use crate::Shifts;

/// What is added to a clock's times to put them right, as an interval of shifts that holds the
/// true one.
///
/// ```text
///  shift │   constant             │            drifting
///        │                        │                       ╱│ ends.1
///        │▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒     │              ▒▒▒▒╱▒▒▒▒▒│
///        │▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒     │ ends.0 │▒▒▒▒▒▒▒▒▒▒▒╱
///        └───────────────────►    └────────┴───────────────┴───► time by the clock
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// The clock was off by as much all the time.
    Constant(Shifts),
    /// It ran too fast or too slow, steadily.
    Drifting(Drifting),
}

/// The shifts of a clock that runs too fast or too slow, steadily: those at two of its times, and
/// in between what lies between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drifting {
    ends: [(Timestamp, Shifts); 2],
}

impl Correction {
    /// The shifts for what the clock timed `at`.
    pub fn at(self, at: Timestamp) -> Shifts {
        match self {
            Self::Constant(shifts) => shifts,
            Self::Drifting(drifting) => drifting.at(at),
        }
    }
}

impl From<Shifts> for Correction {
    fn from(shifts: Shifts) -> Self {
        Self::Constant(shifts)
    }
}

impl Drifting {
    /// The steepest that a correction is taken to grow, in parts of a thousand million: NTP takes
    /// no clock to be off by more than 500 ppm (RFC 5905 §11.3, MAXFREQ); this is the next power
    /// of two.
    pub const STEEPEST: i64 = 1 << 19;

    /// From the shifts at `first` to those at `last`, which is not before it.
    pub(crate) const fn new(first: (Timestamp, Shifts), last: (Timestamp, Shifts)) -> Self {
        Self {
            ends: [first, last],
        }
    }

    /// The clock's times at either end, with the shifts there.
    pub const fn ends(self) -> [(Timestamp, Shifts); 2] {
        self.ends
    }

    /// A line that is inside at both ends is inside everywhere between them, and outside of them
    /// it has gone on no more steeply than [`Self::STEEPEST`].
    fn at(self, at: Timestamp) -> Shifts {
        let [(first, begin), (last, end)] = self.ends;
        if at <= first {
            return begin.moved_and_widened(0, grown(Self::STEEPEST, first, at));
        }
        if last <= at {
            return end.moved_and_widened(0, grown(Self::STEEPEST, at, last));
        }
        let whole = i128::from(last.as_micros()) - i128::from(first.as_micros());
        let part = i128::from(at.as_micros()) - i128::from(first.as_micros());
        // Rounded down for both; the greatest is a step more, so that nothing is left out.
        let between = |begin: i64, end: i64| {
            let grown = (i128::from(end) - i128::from(begin)) * part;
            clamp(i128::from(begin) + grown.div_euclid(whole))
        };
        let least = between(begin.first(), end.first());
        let greatest = between(begin.last(), end.last()).saturating_add(1);
        Shifts::between(least, greatest).unwrap_or(Shifts::exactly(least))
    }
}

/// How many microseconds a shift that grows by `billionths` has grown from `earlier` to `later`,
/// rounded away from zero; negative where `later` is before `earlier` or `billionths` is.
pub(crate) fn grown(billionths: i64, later: Timestamp, earlier: Timestamp) -> i64 {
    let time = i128::from(later.as_micros()) - i128::from(earlier.as_micros());
    let grown = time * i128::from(billionths);
    let away = if grown < 0 { -999_999_999 } else { 999_999_999 };
    clamp((grown + away) / 1_000_000_000)
}

fn clamp(micros: i128) -> i64 {
    let ends = (i128::from(i64::MIN), i128::from(i64::MAX));
    i64::try_from(micros.clamp(ends.0, ends.1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::micros;

    #[test]
    fn a_constant_is_the_same_at_all_times() {
        let shifts = Shifts::exactly(-3_000_000);
        for at in [Timestamp::MIN, Timestamp::EPOCH, Timestamp::MAX] {
            assert_eq!(Correction::from(shifts).at(at), shifts);
        }
    }

    #[test]
    fn a_drift_grows_between_its_ends_and_is_less_sure_outside_them() {
        let between = |first, last| Shifts::between(first, last).unwrap();
        let drifting = Drifting::new(
            (micros(0), between(100, 200)),
            (micros(1_000_000_000), between(1_100, 1_400)),
        );
        assert_eq!(drifting.at(micros(0)), between(100, 200));
        assert_eq!(drifting.at(micros(500_000_000)), between(600, 801));
        assert_eq!(drifting.at(micros(1_000_000_000)), between(1_100, 1_400));
        assert_eq!(drifting.at(micros(1_001_000_000)), between(575, 1_925));
        assert_eq!(drifting.at(micros(-1_000_000)), between(-425, 725));
    }

    proptest! {
        #[test]
        fn every_line_inside_both_ends_is_inside_between_them(
            begin in -10_000..10_000_i64, end in -10_000..10_000_i64,
            (slack, slack2) in (0..5_000_i64, 0..5_000_i64), length in 1..1_000_000_000_000_i64, part in 0.0..1.0_f64,
        ) {
            let around = |shift: i64, slack| Shifts::between(shift - slack, shift + slack).unwrap();
            let drifting = Drifting::new((micros(0), around(begin, slack)), (micros(length), around(end, slack2)));
            let at = (length as f64 * part) as i64;
            let exact = i128::from(begin) * i128::from(length) + i128::from(end - begin) * i128::from(at);
            let shifts = drifting.at(micros(at));
            prop_assert!(i128::from(shifts.first()) * i128::from(length) <= exact);
            prop_assert!(exact <= i128::from(shifts.last()) * i128::from(length));
        }

        #[test]
        fn any_times_are_moved_without_panic(at in any::<i64>(), first in any::<i64>(), last in any::<i64>(), shift in any::<i64>()) {
            let ends = (first.min(last), first.max(last));
            let shifts = Shifts::exactly(shift);
            Drifting::new((micros(ends.0), shifts), (micros(ends.1), shifts)).at(micros(at));
        }
    }
}
