//! The allocations of one external address, by ports and time.
//!
//! Port ranges of any size are kept in an interval tree over the 65,536 ports: a range stands at
//! the highest point (the boundary between two ports that the most powers of two divide) that
//! lies inside it, a single port at itself. All ranges at one point overlap, so as long as ports
//! are in one hand at a time they follow each other in time: a *run*, in which a moment is found
//! by bisection. A port's holders stand at one of the 17 points above it.
//!
//! ```text
//! port       0    1    2    3    4    5    6    7
//! point      1    3    5    7    9   11   13   15     2 * port + 1: single ports
//!               2         6        10        14       between two ports
//!                    4                  12            (0-3) stands at 4, (5-6) at 12
//!                              8                      (2-5) stands at 8
//! ```

use std::collections::{BTreeMap, BTreeSet};

use portledger_model::{PortRange, Span, Timestamp, Transport};

use super::entry::{Entries, Entry, class_of};

/// The allocations of one external address.
#[derive(Default)]
pub(crate) struct Address {
    /// By point and class of transport ([`key`]): entries in order of their starts.
    runs: BTreeMap<u32, Vec<u32>>,
    /// The few runs whose ends are not in order, because records contradict each other: these
    /// are read from one end to the other.
    tangled: BTreeSet<u32>,
    /// For each class, which levels of points have a run: most addresses have one block size.
    levels: [u32; 4],
    devices: Vec<u32>,
}

/// Allocations of some of the same ports as another one.
#[derive(Default)]
pub(crate) struct Rivals {
    /// The older ones that have no release and would outlast its start.
    pub(crate) outlasting: Vec<u32>,
    /// When the next one begins.
    pub(crate) successor: Option<Timestamp>,
}

impl Address {
    /// The devices that ever handed out ports of this address.
    pub(crate) fn devices(&self) -> &[u32] {
        &self.devices
    }

    pub(crate) fn note_device(&mut self, device: u32) {
        if !self.devices.contains(&device) {
            self.devices.push(device);
        }
    }

    /// Adds an entry.
    pub(crate) fn insert(&mut self, entries: &Entries, id: u32) {
        let entry = entries.get(id);
        let point = point(entry.ports());
        let key = key(point, entry.class());
        self.levels[entry.class() as usize] |= 1 << point.trailing_zeros();
        let run = self.runs.entry(key).or_default();
        let place = bisect(run, |other| entries.get(*other).from() <= entry.from());
        run.insert(place, id);
        if !in_order(entries, run, place) {
            self.tangled.insert(key);
        }
    }

    /// Takes note that the end of an entry has changed.
    pub(crate) fn ended(&mut self, entries: &Entries, id: u32) {
        let entry = entries.get(id);
        let key = key(point(entry.ports()), entry.class());
        let Some(run) = self.runs.get(&key) else {
            return;
        };
        let begin = bisect(run, |other| entries.get(*other).from() < entry.from());
        let place = run.iter().skip(begin).position(|other| *other == id);
        if !place.is_some_and(|place| in_order(entries, run, begin + place)) {
            self.tangled.insert(key);
        }
    }

    /// The entry that is the same allocation.
    pub(crate) fn find(&self, entries: &Entries, wanted: &Entry) -> Option<u32> {
        let run = self.runs.get(&key(point(wanted.ports()), wanted.class()))?;
        let begin = bisect(run, |id| entries.get(*id).from() < wanted.from());
        run.iter()
            .skip(begin)
            .take_while(|id| entries.get(**id).from() == wanted.from())
            .find(|id| entries.get(**id).is_same(*wanted))
            .copied()
    }

    /// Calls `found` with every entry of some of `ports` that overlaps `span`.
    pub(crate) fn overlapping(
        &self,
        entries: &Entries,
        ports: PortRange,
        transport: Option<Transport>,
        span: Span,
        mut found: impl FnMut(u32),
    ) {
        self.each_run(ports, transport, |run| {
            let begin = run.first_that_ends_after(entries, span.from);
            for id in run.ids.iter().skip(begin) {
                let entry = entries.get(*id);
                if span.to <= entry.from() {
                    break;
                }
                if entry.overlaps(span) && entry.ports().overlaps(ports) {
                    found(*id);
                }
            }
        });
    }

    /// The last that ended at or before `at`, and the first that began after it.
    pub(crate) fn nearest(
        &self,
        entries: &Entries,
        ports: PortRange,
        transport: Option<Transport>,
        at: Timestamp,
    ) -> (Option<u32>, Option<u32>) {
        let (mut before, mut after) = (None, None);
        self.each_run(ports, transport, |run| {
            let last = run.last_that_ended_by(entries, ports, at);
            before = before
                .into_iter()
                .chain(last)
                .max_by_key(|id| (entries.get(*id).to(), *id));
            let first = run.first_that_began_after(entries, ports, at);
            after = after
                .into_iter()
                .chain(first)
                .min_by_key(|id| (entries.get(*id).from(), *id));
        });
        (before, after)
    }

    /// What else was said of some of the same ports.
    pub(crate) fn rivals(&self, entries: &Entries, new: &Entry) -> Rivals {
        let mut rivals = Rivals::default();
        let (ports, from) = (new.ports(), new.from());
        self.each_run(ports, new.transport(), |run| {
            let begin = run.first_that_ends_after(entries, from);
            for id in run.ids.iter().skip(begin) {
                let entry = entries.get(*id);
                if from <= entry.from() {
                    break;
                }
                if from < entry.to() && !entry.is_released() && entry.ports().overlaps(ports) {
                    rivals.outlasting.push(*id);
                }
            }
            let next = run.first_that_began_after(entries, ports, from);
            let next = next.map(|id| entries.get(id).from());
            rivals.successor = rivals.successor.into_iter().chain(next).min();
        });
        rivals
    }

    /// Calls `each` once with every run that may hold some of `ports` for `transport`.
    fn each_run(
        &self,
        ports: PortRange,
        transport: Option<Transport>,
        mut each: impl FnMut(Run<'_>),
    ) {
        let asked = class_of(transport);
        let (low, high) = (single(ports.first()), single(ports.last()));
        let (mut dense, mut from, mut to) = ([0; 4], u32::MAX, 0);
        for class in (0..4).filter(|class| asked == 0 || *class == 0 || *class == asked) {
            let mut levels = self.levels[class as usize];
            while levels != 0 {
                let level = levels.trailing_zeros();
                levels &= levels - 1;
                // Few points: each is looked up. Many: most have no run, so the runs are gone
                // through instead.
                let (left, right) = (above(low, level), above(high, level));
                if (right - left) >> (level + 1) >= 4 {
                    dense[class as usize] |= 1 << level;
                    (from, to) = (from.min(left), to.max(right));
                    continue;
                }
                for point in (left..=right).step_by(2 << level) {
                    let key = key(point, class);
                    if let Some(ids) = self.runs.get(&key) {
                        each(self.run(key, ids));
                    }
                }
            }
        }
        if from > to {
            return;
        }
        for (key, ids) in self.runs.range(key(from, 0)..=key(to, 3)) {
            if dense[(key & 3) as usize] & 1 << (key >> 2).trailing_zeros() != 0 {
                each(self.run(*key, ids));
            }
        }
    }

    fn run<'a>(&self, key: u32, ids: &'a [u32]) -> Run<'a> {
        Run {
            ids,
            tangled: !self.tangled.is_empty() && self.tangled.contains(&key),
        }
    }
}

/// Entries of overlapping ports, in order of their starts and, unless tangled, of their ends.
struct Run<'a> {
    ids: &'a [u32],
    tangled: bool,
}

impl Run<'_> {
    /// No entry before this place ends after `at`.
    fn first_that_ends_after(&self, entries: &Entries, at: Timestamp) -> usize {
        if self.tangled {
            return 0;
        }
        bisect(self.ids, |id| entries.get(*id).to() <= at)
    }

    fn last_that_ended_by(
        &self,
        entries: &Entries,
        ports: PortRange,
        at: Timestamp,
    ) -> Option<u32> {
        let end = if self.tangled {
            self.ids.len()
        } else {
            self.first_that_ends_after(entries, at)
        };
        let mut ended = self.ids.iter().take(end).rev().copied().filter(|id| {
            let entry = entries.get(*id);
            entry.to() <= at && entry.ports().overlaps(ports)
        });
        if self.tangled {
            ended.max_by_key(|id| (entries.get(*id).to(), *id))
        } else {
            ended.next()
        }
    }

    fn first_that_began_after(
        &self,
        entries: &Entries,
        ports: PortRange,
        at: Timestamp,
    ) -> Option<u32> {
        let begin = bisect(self.ids, |id| entries.get(*id).from() <= at);
        let mut begun = self.ids.iter().skip(begin);
        begun
            .find(|id| entries.get(**id).ports().overlaps(ports))
            .copied()
    }
}

/// How many of the first entries `is_before`. Seeks from the end, where nearly all the work is:
/// each entry looked at is a wait for the memory.
fn bisect(ids: &[u32], is_before: impl Fn(&u32) -> bool) -> usize {
    let (mut end, mut step) = (ids.len(), 1);
    while end > 0 {
        let probe = end.saturating_sub(step);
        if is_before(&ids[probe]) {
            let between = &ids[probe + 1..end];
            return probe + 1 + between.partition_point(is_before);
        }
        (end, step) = (probe, step * 2);
    }
    0
}

/// Whether the entry at `place` ends between its neighbours' ends.
fn in_order(entries: &Entries, run: &[u32], place: usize) -> bool {
    let around = &run[place.saturating_sub(1)..run.len().min(place + 2)];
    around.is_sorted_by_key(|id| entries.get(*id).to())
}

/// The point of a single port.
fn single(port: u16) -> u32 {
    2 * u32::from(port) + 1
}

/// The point of a range: of the points from its first port's to its last port's, the one on the
/// highest level.
fn point(ports: PortRange) -> u32 {
    let (low, high) = (single(ports.first()), single(ports.last()));
    match (low ^ high).checked_ilog2() {
        Some(level) => high >> level << level,
        None => low,
    }
}

/// The one point of `level` that stands above a single port's point.
fn above(single: u32, level: u32) -> u32 {
    single >> (level + 1) << (level + 1) | 1 << level
}

fn key(point: u32, class: u32) -> u32 {
    point << 2 | class
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn points_are_those_of_the_picture() {
        let range = |first, last| point(PortRange::new(first, last).unwrap());
        assert_eq!(
            (range(0, 3), range(5, 6), range(2, 5), range(7, 7)),
            (4, 12, 8, 15)
        );
        assert_eq!(range(0, u16::MAX), 1 << 16);
    }

    proptest! {
        #[test]
        fn a_range_stands_above_each_of_its_ports(a in any::<u16>(), b in any::<u16>(), inside in any::<prop::sample::Index>()) {
            let ports = PortRange::new(a.min(b), a.max(b)).unwrap();
            let port = ports.first() + inside.index(ports.count() as usize) as u16;
            let point = point(ports);
            prop_assert_eq!(above(single(port), point.trailing_zeros()), point);
        }

        #[test]
        fn a_range_finds_each_that_it_overlaps_once(
            kept in prop::collection::vec((any::<u16>(), 0..12_u32, 0..4_usize), 1..80),
            asked in (any::<u16>(), any::<u16>()), class in 0..4_usize,
        ) {
            let transports = [None, Some(Transport::Tcp), Some(Transport::Udp), Some(Transport::Icmp)];
            let asked = PortRange::new(asked.0.min(asked.1), asked.0.max(asked.1)).unwrap();
            let (mut entries, mut address, mut expected) = (Entries::default(), Address::default(), Vec::new());
            for (first, bits, class_kept) in kept {
                let mut block = crate::testing::block("100.64.3.9", first, first.saturating_add(1 << bits));
                block.transport = transports[class_kept];
                let entry = Entry::new(0, &block, Timestamp::EPOCH, 0, portledger_model::RecordNumber(0));
                let id = entries.push(entry).unwrap();
                address.insert(&entries, id);
                if block.ports.overlaps(asked) && (class == 0 || class_kept == 0 || class == class_kept) {
                    expected.push(id);
                }
            }
            let (mut found, always) = (Vec::new(), Span::new(Timestamp::MIN, Timestamp::MAX));
            address.overlapping(&entries, asked, transports[class], always, |id| found.push(id));
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
