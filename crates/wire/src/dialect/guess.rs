//! Which dialect a file is in.

use super::{Dialect, Dialects, Outcome, Reader, Untimed};
use crate::syslog::Clock;
use jiff::tz::TimeZone;
use portledger_model::Timestamp;

/// How well a dialect fits some lines.
#[derive(Debug, Clone, Copy)]
pub struct Guess<'d> {
    /// The dialect.
    pub dialect: &'d Dialect,
    /// Lines that it reads: events, and messages that it knows to be none.
    pub read: usize,
    /// Of these, lines with events.
    pub with_events: usize,
    /// Lines that it takes for its own and cannot read.
    pub rejected: usize,
    /// Lines that are of no message of its.
    pub foreign: usize,
}

/// Later than any line, so that no time speaks against a dialect.
const RECEIVED: Timestamp = Timestamp::from_secs(250_000_000_000);
/// So many lines are enough to tell.
const ENOUGH: usize = 1_000;

impl Dialects {
    /// Which dialects the lines may be in, the likeliest first; those that read none are left out.
    ///
    /// The first thousand lines are looked at. Times are left out of it: a zone that is yet to be
    /// told says nothing against a dialect.
    pub fn guess<'d, 'l>(&'d self, lines: impl IntoIterator<Item = &'l [u8]>) -> Vec<Guess<'d>> {
        let lines: Vec<&[u8]> = lines.into_iter().take(ENOUGH).collect();
        let mut guesses: Vec<Guess<'d>> = self
            .iter()
            .map(|dialect| fit(dialect, &lines))
            .filter(|guess| guess.read + guess.rejected > 0)
            .collect();
        guesses.sort_by_key(|guess| {
            std::cmp::Reverse((
                guess.with_events,
                guess.read,
                std::cmp::Reverse(guess.rejected),
            ))
        });
        guesses
    }
}

fn fit<'d>(dialect: &'d Dialect, lines: &[&[u8]]) -> Guess<'d> {
    let clock = Clock::new(RECEIVED).in_zone(TimeZone::UTC);
    let mut reader = Reader::new(dialect, clock).untimed(Untimed::Received);
    let mut guess = Guess {
        dialect,
        read: 0,
        with_events: 0,
        rejected: 0,
        foreign: 0,
    };
    let mut events = Vec::new();
    for line in lines {
        events.clear();
        match reader.read(line, &mut events) {
            Outcome::Events(_) => {
                guess.read += 1;
                guess.with_events += 1;
            }
            Outcome::Nothing(super::NO_MESSAGE) => guess.foreign += 1,
            Outcome::Nothing(_) => guess.read += 1,
            Outcome::Rejected(_) => guess.rejected += 1,
        }
    }
    guess
}
