//! How long to wait before the next attempt.

use std::time::Duration;

const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(60);

/// Waits that double from 1 s to 60 s, each cut by up to a half at random, so that many exporters
/// do not come back to a restarted collector at the same moment.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    random: u64,
}

impl Backoff {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            next: LEAST,
            random: seed,
        }
    }

    /// The next wait.
    pub(super) fn wait(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(MOST);
        let share = f64::from(self.draw()) / f64::from(u32::MAX);
        full.mul_f64(1.0 - share / 2.0)
    }

    /// It works again: the next wait is a short one.
    pub(super) const fn reset(&mut self) {
        self.next = LEAST;
    }

    /// SplitMix64 (Steele, Lea, Flood 2014), of which the upper half is taken.
    fn draw(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_are_cut_by_half_at_most() {
        let mut backoff = Backoff::new(7);
        for full in [1, 2, 4, 8, 16, 32, 60, 60] {
            let (wait, full) = (backoff.wait(), Duration::from_secs(full));
            assert!(full / 2 <= wait && wait <= full, "{wait:?} of {full:?}");
        }
        backoff.reset();
        assert!(backoff.wait() <= LEAST);
    }

    #[test]
    fn two_seeds_wait_differently() {
        assert_ne!(Backoff::new(1).wait(), Backoff::new(2).wait());
    }
}
