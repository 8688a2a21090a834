//! What is known of allocations from different places, put together.
//!
//! What an allocation is does not depend on the order in which its records arrive: it is a block
//! and the time it was handed out. It ends when its release says so; without one, when the next
//! allocation of overlapping ports begins, since then its release was lost or is still to come.

use std::collections::BTreeMap;

use portledger_model::{PortRange, RecordNumber, Timestamp, Transport};

/// What one place knows of an allocation on some external address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fragment<S, D> {
    pub(crate) ports: PortRange,
    pub(crate) transport: Option<Transport>,
    pub(crate) from: Timestamp,
    /// Its release, or what ended it; `None` where neither is known.
    pub(crate) to: Option<Timestamp>,
    /// No release is known: it ended because the next allocation of its ports began. A release
    /// that comes later is believed instead.
    pub(crate) concluded: bool,
    pub(crate) subscriber: S,
    pub(crate) device: D,
    /// The record that told of it first.
    pub(crate) record: RecordNumber,
}

/// An allocation began: of it, all that ends another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beginning {
    pub(crate) from: Timestamp,
    pub(crate) ports: PortRange,
    pub(crate) transport: Option<Transport>,
}

impl Beginning {
    /// Whether what began with this has ended by the time the other begins, unless it was
    /// released: ports are in one hand at a time.
    fn is_ended_by(&self, other: &Self) -> bool {
        let rivals = match (self.transport, other.transport) {
            (Some(mine), Some(other)) => mine == other,
            _ => true,
        };
        rivals && self.from < other.from && self.ports.overlaps(other.ports)
    }
}

impl<S: Ord, D> Fragment<S, D> {
    pub(crate) fn identity(&self) -> (Timestamp, PortRange, Option<Transport>, &S) {
        (self.from, self.ports, self.transport, &self.subscriber)
    }

    /// No release is known.
    pub(crate) fn is_unreleased(&self) -> bool {
        self.released().is_none()
    }

    /// When it was released, where that is known.
    pub(crate) fn released(&self) -> Option<Timestamp> {
        self.to.filter(|_| !self.concluded)
    }

    /// Its beginning, which ends what was held of its ports before.
    pub(crate) const fn beginning(&self) -> Beginning {
        Beginning {
            from: self.from,
            ports: self.ports,
            transport: self.transport,
        }
    }

    /// Ends it, unless its release is known, where the next of these takes some of its ports.
    pub(crate) fn end_before<'a>(&mut self, others: impl IntoIterator<Item = &'a Beginning>) {
        if self.is_unreleased() {
            let mine = self.beginning();
            let successors = others.into_iter().filter(|other| mine.is_ended_by(other));
            self.conclude(successors.map(|other| other.from).min());
        }
    }

    /// What was concluded before may rest on another that is not looked at now.
    fn conclude(&mut self, end: Option<Timestamp>) {
        self.to = self.to.into_iter().chain(end).min();
        self.concluded = self.to.is_some();
    }

    /// Leaves its end open unless it was released: whatever ended it may be told of anew.
    pub(crate) fn forget_conclusion(&mut self) {
        self.to = self.released();
        self.concluded = false;
    }

    /// Takes in what another place knows of the same allocation: the first release counts, and
    /// the first record.
    pub(crate) fn add(&mut self, other: &Self) {
        let released = self.released().into_iter().chain(other.released()).min();
        let ended = self.to.into_iter().chain(other.to).min();
        self.to = released.or(ended);
        self.concluded = released.is_none() && ended.is_some();
        self.record = self.record.min(other.record);
    }
}

/// Puts fragments of one external address together: one an allocation, by start, each with its
/// end as far as it is known.
pub(crate) fn reconcile<S: Ord, D>(fragments: &mut Vec<Fragment<S, D>>) {
    unite(fragments);
    end_by_successors(fragments);
}

/// As [`reconcile`], and nothing concluded.
pub(crate) fn unite<S: Ord, D>(fragments: &mut Vec<Fragment<S, D>>) {
    fragments.sort_by(|a, b| a.identity().cmp(&b.identity()));
    fragments.dedup_by(|later, kept| {
        let same = later.identity() == kept.identity();
        if same {
            kept.add(later);
        }
        same
    });
}

/// Ends what has no release where the next allocation of overlapping ports begins.
fn end_by_successors<S: Ord, D>(fragments: &mut [Fragment<S, D>]) {
    // What is held so far, by first port: ports are in one hand at a time, so these are few.
    let mut held: BTreeMap<(u16, usize), PortRange> = BTreeMap::new();
    let mut widest = 0;
    for next in 0..fragments.len() {
        let (ended, begun) = fragments.split_at_mut(next);
        let Some(begun) = begun.first() else { break };
        let reach =
            (begun.ports.first().saturating_sub(widest), 0)..=(begun.ports.last(), usize::MAX);
        let over: Vec<_> = held
            .range(reach)
            .filter(|(_, ports)| ports.overlaps(begun.ports))
            .map(|(key, _)| *key)
            .collect();
        for key in over {
            let Some(before) = ended.get_mut(key.1) else {
                continue;
            };
            if before.beginning().is_ended_by(&begun.beginning()) {
                before.conclude(Some(begun.from));
                held.remove(&key);
            }
        }
        if begun.released().is_none() {
            widest = widest.max(begun.ports.last() - begun.ports.first());
            held.insert((begun.ports.first(), next), begun.ports);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Known = Fragment<u8, ()>;

    fn any_fragment() -> impl Strategy<Value = Known> {
        let transport = prop_oneof![4 => Just(None), 1 => Just(Some(Transport::Tcp)), 1 => Just(Some(Transport::Udp))];
        let times = (0..20_i64, prop::option::of(0..10_i64));
        ((0..12_u16, 0..6_u16), transport, times, 0..3_u8, 0..9_u64).prop_map(
            |((first, more), transport, (from, lasts), subscriber, record)| Fragment {
                ports: PortRange::new(first, first + more).unwrap(),
                transport,
                from: Timestamp::from_secs(from),
                to: lasts.map(|lasts| Timestamp::from_secs(from + lasts)),
                concluded: false,
                subscriber,
                device: (),
                record: RecordNumber(record),
            },
        )
    }

    /// Read from one end to the other, for each fragment all others.
    fn by_definition(all: &[Known]) -> Vec<Known> {
        let mut known: Vec<Known> = Vec::new();
        for one in all {
            let same: Vec<_> = all
                .iter()
                .filter(|f| f.identity() == one.identity())
                .collect();
            if known.iter().any(|f| f.identity() == one.identity()) {
                continue;
            }
            let released = same.iter().filter_map(|f| f.to).min();
            let rivals = all.iter().filter(|other| {
                one.from < other.from
                    && other.ports.overlaps(one.ports)
                    && (one.transport.is_none()
                        || other.transport.is_none()
                        || one.transport == other.transport)
            });
            let successor = rivals.map(|f| f.from).min();
            known.push(Fragment {
                to: released.or(successor),
                concluded: released.is_none() && successor.is_some(),
                record: same.iter().map(|f| f.record).min().unwrap(),
                ..one.clone()
            });
        }
        known.sort_by(|a, b| a.identity().cmp(&b.identity()));
        known
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn fragments_add_up_to_what_they_are_by_definition(all in prop::collection::vec(any_fragment(), 0..30)) {
            let mut together = all.clone();
            reconcile(&mut together);
            prop_assert_eq!(&together, &by_definition(&all));
            // What was put together before is put together again with the rest.
            let mut later = together;
            later.extend(all.clone());
            reconcile(&mut later);
            prop_assert_eq!(later, by_definition(&all));
        }
    }
}
