//! Releases that wait for their allocation, which they may have overtaken.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use portledger_model::{Subscriber, Timestamp};

use super::{place, table::Place};
use crate::{EventTime, Holding};

/// How many wait; the oldest wait no longer then.
const MOST: usize = 65_536;

/// Those of one device, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Early {
    waiting: VecDeque<(EventTime, Holding)>,
    /// How many wait of a place: who begins to listen hears many releases of what was held before,
    /// and each allocation asks for its own.
    of: HashMap<Place, u32, RandomState>,
}

impl Early {
    /// Lets a release wait.
    pub(super) fn push(&mut self, at: EventTime, holding: Holding) {
        *self.of.entry(place(&holding)).or_default() += 1;
        self.waiting.push_back((at, holding));
    }

    /// Whether more wait than may.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() > MOST
    }

    /// Takes the one that has waited longest.
    pub(super) fn pop(&mut self) -> Option<(EventTime, Holding)> {
        let early = self.waiting.pop_front();
        self.forget(early.as_ref());
        early
    }

    /// Takes the one that has waited longest, where it ended before `limit`.
    pub(super) fn pop_before(&mut self, limit: Timestamp) -> Option<(EventTime, Holding)> {
        let (at, _) = self.waiting.front()?;
        if at.timestamp() < limit {
            self.pop()
        } else {
            None
        }
    }

    /// Takes the release of what a subscriber got at a time.
    pub(super) fn take(
        &mut self,
        begun: Place,
        at: Timestamp,
        subscriber: &Subscriber,
    ) -> Option<(EventTime, Holding)> {
        if self.of.is_empty() || !self.of.contains_key(&begun) {
            return None;
        }
        let found = self.waiting.iter().position(|(ended, early)| {
            let is_theirs = early.subscriber.as_ref().is_none_or(|it| it == subscriber);
            at <= ended.timestamp() && place(early) == begun && is_theirs
        });
        let early = self.waiting.remove(found?);
        self.forget(early.as_ref());
        early
    }

    fn forget(&mut self, early: Option<&(EventTime, Holding)>) {
        let Some((_, holding)) = early else {
            return;
        };
        let place = place(holding);
        if let Some(count) = self.of.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&place);
            }
        }
    }
}
