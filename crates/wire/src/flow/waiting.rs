//! Data whose template has not come yet, bounded in bytes, number and time.
//!
//! A collector that starts hears data before templates: over UDP they are repeated only now and
//! then. What it hears until then is kept and read as soon as it can be.

use std::collections::{HashMap, VecDeque};

use portledger_model::Timestamp;

use super::{clock::Sent, message::Domain};

/// What one set costs besides its bytes.
const OVERHEAD: usize = 192;

/// A data set that cannot be read yet.
#[derive(Debug)]
pub(super) struct WaitingSet {
    pub(super) domain: Domain,
    pub(super) template: u16,
    pub(super) bytes: Box<[u8]>,
    /// The junction of its message in the sequence of its domain.
    pub(super) junction: u64,
    pub(super) sent: Sent,
    pub(super) since: Timestamp,
    pub(super) received: Timestamp,
}

impl WaitingSet {
    fn cost(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    sets: VecDeque<WaitingSet>,
    bytes: usize,
    /// How many sets wait for which template: a flood of templates that nothing waits for must
    /// not search what waits for each of them.
    awaited: HashMap<(Domain, u16), usize>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Keeps a set; the oldest that must go for it go to `dropped`.
    pub(super) fn push(
        &mut self,
        set: WaitingSet,
        bytes: usize,
        mut dropped: impl FnMut(WaitingSet),
    ) {
        self.bytes += set.cost();
        *self.awaited.entry((set.domain, set.template)).or_default() += 1;
        self.sets.push_back(set);
        while self.bytes > bytes {
            match self.pop() {
                Some(oldest) => dropped(oldest),
                None => break,
            }
        }
    }

    /// Takes out what waits for a template, in the order in which it came.
    pub(super) fn take(&mut self, domain: Domain, template: u16) -> Vec<WaitingSet> {
        if !self.awaited.contains_key(&(domain, template)) {
            return Vec::new();
        }
        self.take_if(|set| set.domain == domain && set.template == template)
    }

    /// Takes out everything of a domain.
    pub(super) fn take_domain(&mut self, domain: Domain) -> Vec<WaitingSet> {
        self.take_if(|set| set.domain == domain)
    }

    /// Takes out what came before `time`.
    pub(super) fn take_older(&mut self, time: Timestamp) -> Vec<WaitingSet> {
        self.take_if(|set| set.received < time)
    }

    fn pop(&mut self) -> Option<WaitingSet> {
        let set = self.sets.pop_front()?;
        self.bytes = self.bytes.saturating_sub(set.cost());
        self.forget(&set);
        Some(set)
    }

    fn take_if(&mut self, wanted: impl Fn(&WaitingSet) -> bool) -> Vec<WaitingSet> {
        if !self.sets.iter().any(&wanted) {
            return Vec::new();
        }
        let (taken, kept): (Vec<_>, Vec<_>) = self.sets.drain(..).partition(wanted);
        self.sets = kept.into();
        self.bytes = self.sets.iter().map(WaitingSet::cost).sum();
        for set in &taken {
            self.forget(set);
        }
        taken
    }

    fn forget(&mut self, set: &WaitingSet) {
        let key = (set.domain, set.template);
        if let Some(count) = self.awaited.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.awaited.remove(&key);
            }
        }
    }
}
