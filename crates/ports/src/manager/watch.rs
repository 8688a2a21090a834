//! Watches how much of the pool is left.

use portledger_model::{Event, Level};

use crate::policy::Supply;

/// Says once that the pool is exhausted or that its use has crossed a threshold, and not again
/// until it has eased: RFC 6888 REQ-11 (C) without a storm.
#[derive(Debug, Default)]
pub(super) struct PoolWatch {
    exhausted: bool,
    high: bool,
}

impl PoolWatch {
    /// What is to be said of this supply, after a draw that found nothing or did. The thresholds
    /// are percentages of the pool: high and low.
    pub(super) fn look(
        &mut self,
        supply: Supply,
        (high, low): (u8, u8),
        exhausted: bool,
    ) -> impl Iterator<Item = Event> + use<> {
        let Supply {
            total: blocks,
            rested,
            resting,
        } = supply;
        let in_use = blocks - rested;
        let at_least =
            |percent: u8| u64::from(in_use) * 100 >= u64::from(blocks) * u64::from(percent);
        let crossed = if blocks > 0 && !self.high && at_least(high) {
            self.high = true;
            Some(Level::High)
        } else if self.high && !at_least(low) {
            self.high = false;
            self.exhausted = false;
            Some(Level::Low)
        } else {
            None
        };
        let ran_out = exhausted && !self.exhausted;
        self.exhausted |= exhausted;
        let threshold = crossed.map(|level| Event::PoolThreshold {
            level,
            in_use,
            blocks,
        });
        let exhaustion = ran_out.then_some(Event::PoolExhausted { blocks, resting });
        threshold.into_iter().chain(exhaustion)
    }
}
