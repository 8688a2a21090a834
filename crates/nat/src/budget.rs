//! How many ICMP errors of our own go out (RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f)).

use std::time::Duration;

use portledger_model::Timestamp;

/// So many a second, and no more than a second's worth at once.
#[derive(Debug)]
pub(crate) struct Budget {
    rate: u32,
    left: u32,
    at: Timestamp,
}

impl Budget {
    pub(crate) const fn new(rate: u32) -> Self {
        Self {
            rate,
            left: rate,
            at: Timestamp::MIN,
        }
    }

    pub(crate) fn spend(&mut self, now: Timestamp) -> bool {
        let earned = now
            .since(self.at)
            .as_micros()
            .saturating_mul(u128::from(self.rate))
            / 1_000_000;
        if earned > 0 {
            let full = u128::from(self.left) + earned >= u128::from(self.rate);
            if full {
                (self.left, self.at) = (self.rate, now);
            } else {
                self.left += u32::try_from(earned).unwrap_or(0);
                // What is not a whole one yet is not lost.
                let spent = earned * 1_000_000 / u128::from(self.rate);
                let spent = Duration::from_micros(u64::try_from(spent).unwrap_or(0));
                self.at = self.at.after(spent);
            }
        }
        let paid = self.left > 0;
        self.left = self.left.saturating_sub(1);
        paid
    }
}
