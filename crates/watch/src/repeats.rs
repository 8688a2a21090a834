//! What was seen a moment ago, in a fixed amount of memory.

use std::hash::{BuildHasher, Hash};

use portledger_model::Timestamp;

/// How many of one set are remembered.
const WAYS: usize = 4;

/// Things seen lately. What is forgotten for want of room is seen again: a line twice in the log,
/// never one too few.
pub(crate) struct Repeats {
    sets: Box<[[Slot; WAYS]]>,
}

/// A keyed hash of what was seen, and the second in which it was seen last; 0 where nothing was.
#[derive(Clone, Copy, Default)]
struct Slot {
    tag: u64,
    second: u32,
}

impl Repeats {
    /// With room for at least so many.
    pub(crate) fn new(room: usize) -> Self {
        let sets = (room / WAYS).max(1).next_power_of_two();
        Self {
            sets: vec![[Slot::default(); WAYS]; sets].into(),
        }
    }

    /// Whether `what` was seen within `seconds` before `at`; it is from now on.
    /// Two that differ are taken for one with a chance of one in 2^64, which nobody can choose:
    /// the hash is keyed.
    pub(crate) fn saw(
        &mut self,
        hasher: &impl BuildHasher,
        what: impl Hash,
        at: Timestamp,
        seconds: u32,
    ) -> bool {
        let tag = hasher.hash_one(what);
        let now = u32::try_from(at.as_micros() / 1_000_000)
            .unwrap_or(1)
            .max(1);
        let mask = self.sets.len() - 1;
        let Some(set) = usize::try_from(tag & mask as u64)
            .ok()
            .and_then(|index| self.sets.get_mut(index))
        else {
            return false;
        };
        // Also where the clock was set back meanwhile.
        let lately = |slot: &Slot| slot.second != 0 && slot.second.abs_diff(now) <= seconds;
        if let Some(slot) = set.iter_mut().find(|slot| slot.tag == tag && lately(slot)) {
            slot.second = slot.second.max(now);
            return true;
        }
        if let Some(oldest) = set.iter_mut().min_by_key(|slot| slot.second) {
            *oldest = Slot { tag, second: now };
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasherDefault, DefaultHasher};

    use proptest::prelude::*;

    use super::*;

    type Fixed = BuildHasherDefault<DefaultHasher>;

    #[test]
    fn a_repeat_is_one_for_as_long_as_it_goes_on() {
        let mut repeats = Repeats::new(64);
        let hasher = Fixed::default();
        let mut saw = |second| repeats.saw(&hasher, "x", Timestamp::from_secs(second), 60);
        assert!(!saw(100));
        assert!(saw(101));
        assert!(saw(161));
        assert!(saw(221));
        assert!(!saw(282));
    }

    #[test]
    fn what_has_no_room_is_seen_again_and_nothing_is_taken_for_another() {
        let mut repeats = Repeats::new(64);
        let hasher = Fixed::default();
        let mut seen = 0;
        for number in 0..10_000 {
            seen += usize::from(repeats.saw(&hasher, number, Timestamp::from_secs(1), 60));
        }
        assert_eq!(seen, 0);
        assert!(!repeats.saw(&hasher, 0, Timestamp::from_secs(1), 60));
    }

    proptest! {
        #[test]
        fn only_what_was_there_is_a_repeat(numbers in prop::collection::vec(0_u8..40, 0..200)) {
            let mut repeats = Repeats::new(16);
            let hasher = Fixed::default();
            let mut before = std::collections::HashSet::new();
            for number in numbers {
                let repeat = repeats.saw(&hasher, number, Timestamp::from_secs(9), 60);
                prop_assert!(!repeat || before.contains(&number));
                before.insert(number);
            }
        }
    }
}
